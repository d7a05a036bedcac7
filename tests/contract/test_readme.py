"""The README and the files around it say what is so."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import workpool
from tests.markdown import PAGES, ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def command(name: str) -> str:
    program = [sys.executable, str(ROOT / "tools" / "readme_command.py"), name]
    return subprocess.run(program, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(("name", "ends_in"), [("run", "workpool map"), ("test", "-m pytest")])
def test_readme_promises_one_command_to_run_and_one_to_test(name: str, ends_in: str) -> None:
    """Each is a single command that makes its own virtual environment first."""
    text = command(name).replace("\\\n", " ").strip()
    assert "\n" not in text
    assert text.startswith("python3 -m venv .venv && .venv/bin/pip install ")
    assert ends_in in text.split("&&")[-1]


def test_readme_runs_files_that_are_there() -> None:
    """Every path in the command that runs the main job names something in the repository."""
    words = [word.partition(":")[0] for word in command("run").split() if not word.startswith(".")]
    paths = [word for word in words if "/" in word or word.endswith((".py", ".md"))]
    assert paths
    assert [path for path in paths if not list(ROOT.glob(path))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """A relative link names a file of the repository."""
    targets = re.findall(r"\]\((?!\w+:|#)([^)#\s]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_changelog_tells_of_the_version_in_the_project_file() -> None:
    """The newest section of the changelog is this version's."""
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == PROJECT["version"] == workpool.__version__


def test_the_library_needs_cloudpickle_and_nothing_else() -> None:
    """What the library installs beside itself is part of its promise."""
    names = [re.split(r"[^\w-]", requirement)[0] for requirement in PROJECT["dependencies"]]
    assert names == ["cloudpickle"]
