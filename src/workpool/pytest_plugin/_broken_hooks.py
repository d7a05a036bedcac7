"""The report of a test during which a hook of a plugin or a conftest has raised an exception.

Serially, pytest ends the whole run with an internal error. Here the other tests run.
"""

from __future__ import annotations

from typing import Any, Literal

import pytest

from workpool.pytest_plugin._session_errors import users_part

_STYLES = {"auto": "long", "line": "short", "no": "short"}
"""For values of --tb that say nothing of how one traceback is written."""


def broken_hook_report(
    item: pytest.Item, error: Exception, when: Literal["call", "teardown"]
) -> pytest.TestReport:
    """Return the report, with the traceback from where the hook began."""
    style: Any = item.config.getoption("tbstyle", "auto")
    shown = users_part(error).getrepr(style=_STYLES.get(style, style))
    shown.addsection(
        "internal error",
        f"This comes from a hook, not from the test: {item.nodeid} was cut short by it.\n"
        "Serially, pytest would end the run here, with INTERNALERROR.",
    )
    return pytest.TestReport(
        item.nodeid,
        item.location,
        dict.fromkeys(item.keywords, 1),
        "failed",
        shown,
        when,
        [(f"Captured {key} {phase}", text) for phase, key, text in item._report_sections],
    )
