"""Every Python block of the README and of the docs runs as it stands there.

A comment just before a block says how, when it is not a script of its own:

- `<!-- file: NAME -->`: saved under this name for the scripts after it on the page;
- `<!-- continues: REASON -->`: runs in one script with the block before it;
- `<!-- not run: REASON -->`: is not run at all.

Lines `# prints: TEXT` are the script's whole standard output, in order, but for blanks at the end of
a line; `...` stands for anything.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.markdown import PAGES, Block, blocks

pytestmark = pytest.mark.once

SECONDS = 20.0


@dataclass(frozen=True)
class Script:
    """A block to run, what it continues, and the files that stand beside it."""

    block: Block
    text: str
    files: dict[str, str]


def scripts(page: Path) -> list[Script]:
    found: list[Script] = []
    files: dict[str, str] = {}
    for block in blocks(page):
        how, _, detail = block.comment.partition(": ")
        if how == "file":
            files = {**files, detail: block.text}
        elif block.language != "python" or (how == "not run" and detail):
            continue
        elif how == "continues" and detail:
            found[-1] = replace(found[-1], text=f"{found[-1].text}\n{block.text}")
        else:
            found.append(Script(block, block.text, files))
    return found


def promised_output(text: str) -> list[str]:
    return re.findall(r"# prints: (.*)", text)


def as_promised(promised: list[str], printed: str) -> bool:
    patterns = [".*".join(map(re.escape, line.split("..."))) for line in promised]
    lines = [line.rstrip() for line in printed.splitlines()]
    return len(lines) == len(patterns) and all(map(re.fullmatch, patterns, lines))


def lay_out(script: Script, folder: Path) -> None:
    for name, text in {**script.files, "snippet.py": script.text}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


SCRIPTS = [script for page in PAGES for script in scripts(page)]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: str(script.block))
def test_a_snippet_runs_and_prints_what_it_promises(script: Script, tmp_path: Path) -> None:
    """A reader who copies a snippet into a file gets what the page says, without a warning."""
    lay_out(script, tmp_path)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    finished = subprocess.run(
        [sys.executable, "-W", "error", "snippet.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert finished.returncode == 0, finished.stderr
    if promised := promised_output(script.text):
        assert as_promised(promised, finished.stdout), finished.stdout + finished.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_block_that_is_not_run_says_why(page: Path) -> None:
    """Only a comment with a reason takes a Python block out of the test above."""
    unknown = [
        f"{block}: {block.comment}"
        for block in blocks(page)
        if block.language == "python"
        and block.comment
        and not re.match(r"(file|continues|not run): \S", block.comment)
    ]
    assert unknown == []
