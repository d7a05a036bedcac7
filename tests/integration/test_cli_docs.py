"""The shell commands of the page about the command line do what the page shows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.markdown import ROOT, blocks

pytestmark = pytest.mark.once

PAGE = ROOT / "docs" / "command-line.md"


def lay_out(folder: Path) -> dict[str, str]:
    """Put a `workpool` and the page's files where its commands find them."""
    for block in blocks(PAGE):
        if block.comment.startswith("file: "):
            (folder / block.comment.removeprefix("file: ")).write_text(block.text)
    program = folder / "bin" / "workpool"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m workpool "$@"\n')
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    modules = os.pathsep.join(filter(None, sys.path))
    return {**os.environ, "PATH": path, "PYTHONPATH": modules}


def test_the_commands_of_the_page_print_what_it_shows(tmp_path: Path) -> None:
    """Every command succeeds; where a text block follows, it is the command's output."""
    environment = lay_out(tmp_path)
    printed = None
    compared = 0
    for block in blocks(PAGE):
        if block.language == "sh" and not block.comment.startswith("not run"):
            finished = subprocess.run(
                ["sh", "-ec", block.text], cwd=tmp_path, env=environment, capture_output=True,
                text=True, timeout=20,
            )  # fmt: skip
            assert finished.returncode == 0, f"{block}: {finished.stderr}"
            printed = finished.stdout
        elif block.language == "text":
            assert printed == block.text, str(block)
            compared += 1
    assert compared >= 3
