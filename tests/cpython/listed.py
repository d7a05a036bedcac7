"""CPython's tests that do not apply, as `docs/executor.md` lists them."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "executor.md"

_TABLE = re.compile(r"<!-- not applicable -->\n(.*?)<!-- /not applicable -->", re.DOTALL)
_ROW = re.compile(r"^\| `([^`]+)` \| (.+?) \|$", re.MULTILINE)


def read_list() -> dict[str, str]:
    """Return pattern and reason of each row; raises `ValueError` without a table."""
    found = _TABLE.search(PAGE.read_text())
    rows = dict(_ROW.findall(found.group(1))) if found else {}
    if not rows:
        raise ValueError(f"{PAGE} has no table of tests that do not apply")
    return rows


def reason_for(name: str, listed: dict[str, str]) -> str | None:
    """Return why a test, ``Class.test``, does not apply, or None."""
    for pattern, reason in listed.items():
        if fnmatchcase(name, pattern):
            return reason
    return None
