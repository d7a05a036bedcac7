"""The commands of the pages about pytest do what the pages show."""

from __future__ import annotations

import fnmatch
import os
import subprocess
import sys
from pathlib import Path

from tests.markdown import ROOT, Block, blocks

PAGE = ROOT / "docs" / "pytest.md"


def environment(folder: Path) -> dict[str, str]:
    """Put a `pytest` that has the plugin, and no other, where commands find it."""
    program = folder / "bin" / "pytest"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\nexec {sys.executable} -m pytest -p workpool.pytest_plugin "$@"\n'
    )
    program.chmod(0o755)
    (folder / "pytest.ini").touch()
    return {
        **os.environ,
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }


def in_order(expected: Block, printed: str) -> bool:
    """Whether what was printed has the block's lines, in which `...` stands for anything."""
    pattern = expected.text.replace("[", "[[]").replace("...", "*")
    return fnmatch.fnmatchcase(f"{printed.strip()}\n", f"*{pattern.strip()}\n")


def test_the_commands_of_the_page_print_what_it_shows(tmp_path: Path) -> None:
    """Each command that says so is run, with the files above it, and prints the lines below it."""
    environ = environment(tmp_path)
    printed: str | None = None
    compared = 0
    for block in blocks(PAGE):
        if block.comment.startswith("file: "):
            (tmp_path / block.comment.removeprefix("file: ")).write_text(block.text)
        elif block.comment == "run":
            done = subprocess.run(
                ["sh", "-ec", block.text], cwd=tmp_path, env=environ, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stdout + done.stderr
            printed = done.stdout
        elif block.language == "text":
            assert printed is not None
            assert in_order(block, printed), f"{block}\n{printed}"
            printed = None
            compared += 1
    assert compared == 3
