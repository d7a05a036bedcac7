"""Wrong commands, in the process: one sentence each, and exit status 2."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import workpool.cli
from workpool.cli import main


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["map"], "Missing argument 'SPEC'"),
        (["frob"], "No such command 'frob'"),
        (["map", "nocolon", "x"], "'nocolon' does not name a function"),
        (["map", ":f", "x"], "':f' does not name a function"),
        (["map", "mod:", "x"], "'mod:' does not name a function"),
        (["map", "no/such.py:f", "x"], "'no/such.py' of 'no/such.py:f' does not exist"),
        (["map", "./:f", "x"], "is not a file"),
        (["map", "m:f", "-j", "0"], "0 is not in the range"),
        (["map", "m:f", "-j", "-3"], "-3 is not in the range"),
        (["map", "m:f", "-j", "two"], "'two' is not a valid integer"),
        (["map", "m:f", "--timeout", "0"], "'0' is not a positive number of seconds"),
        (["map", "m:f", "--timeout", "nan"], "'nan' is not a positive number of seconds"),
        (["map", "m:f", "--timeout", "inf"], "'inf' is not a positive number of seconds"),
        (["map", "m:f", "--retries", "-1"], "-1 is not in the range"),
        (["map", "m:f", "--buffer", "0"], "0 is not in the range"),
        (["map", "m:f", "--bogus"], "--bogus"),
        (["map", "m:f", "-5"], "(put -- before inputs that begin with a dash)"),
        (["map", "m:f", "-i", "no/such/file"], "cannot read the input file 'no/such/file': No"),
        (["map", "m:f", "-i", "/"], "cannot read the input file '/': it is a directory"),
        (["map", "m:f", "-i", "/", "x"], "give INPUT arguments or --input FILE, not both"),
    ],
)
def test_a_wrong_command_is_one_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Standard error has one line that says what is wrong; the exit status is 2."""
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("workpool: ")
    assert captured.err.count("\n") == 1
    assert sentence in captured.err


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """As a wrong use: on standard error, with exit status 2."""
    assert main([]) == 2
    assert "map" in capsys.readouterr().err


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    """Asked for, help is a success, and shows what to type."""
    assert main(["map", "--help"]) == 0
    assert "| workpool map --null" in capsys.readouterr().out


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """The program's name and its version."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("workpool")


@pytest.mark.parametrize("missing", [["click"], ["click", "rich"]])
def test_without_the_extra_one_sentence_says_what_to_install(
    missing: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback about a module the user has never heard of."""
    found = importlib.util.find_spec

    def find_spec(name: str) -> object:
        return None if name in missing else found(name)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    assert main(["map", "m:f"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert " and ".join(missing) in error
    assert "pip install 'workpool[cli]'" in error


def test_the_package_imports_without_the_extra() -> None:
    """Importing the entry point loads neither click nor rich."""
    source = str(Path(workpool.cli.__file__).parents[2])
    program = (
        f"import sys; sys.path.insert(0, {source!r}); import workpool.cli; "
        "print({'click', 'rich'} & sys.modules.keys())"
    )
    command = [sys.executable, "-c", program]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    assert printed.stdout.strip() == "set()"
