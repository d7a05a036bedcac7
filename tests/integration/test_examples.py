"""Every example runs, with the command its README gives, and prints what it should."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.markdown import ROOT, blocks

pytestmark = pytest.mark.once

EXAMPLES = ROOT / "examples"
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
PROGRAMS = {
    "without_asyncio.py": [
        "home -> news, shop",
        "news -> home, archive",
        "shop -> home",
        "archive -> nothing",
        "pages visited: 4",
    ],
    "executor.py": [
        "in order: [7, 158, 2568]",
        "0: crashed (SIGKILL)",
        "5: 3",
        "20: 19",
        "afterwards: 144",
    ],
    "hello.py": ["Hello, World!"],
    "hooks.py": [
        "worker 0: database opened",
        "apple 3",
        "banana 5",
        "cherry 8",
        "worker 0: database closed",
    ],
    "messages.py": [
        "worker 0 is starting on Joe",
        "Hello, Joe!",
        "worker 0 now says Good evening",
        "worker 0 is starting on Ann",
        "Good evening, Ann!",
    ],
    "image_queue.py": [
        "converted first.small.pgm",
        "converted later-1.small.pgm",
        "converted later-2.small.pgm",
        "converted later-3.small.pgm",
    ],
}
JOBS = {
    "word_statistics.py": "count",
    "file_hashes.py": "digest",
    "longest_functions.py": "outline",
}


def run(command: list[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", *command],
        input=stdin,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=ENVIRONMENT,
        timeout=25,
    )


def run_job(name: str, inputs: list[str]) -> list[dict[str, object]]:
    spec = f"examples/{name}:{JOBS[name]}"
    finished = run(["-m", "workpool", "map", spec], "".join(f"{path}\n" for path in inputs))
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    return [json.loads(line) for line in finished.stdout.splitlines()]


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_example_program_prints_what_it_should(name: str) -> None:
    """As it stands, without a warning."""
    finished = run([f"examples/{name}"])
    assert finished.stderr == ""
    assert finished.stdout.splitlines() == PROGRAMS[name]
    assert finished.returncode == 0


def test_the_small_test_runner_tells_of_every_test() -> None:
    """One line per test, whether it passes, fails, ends its worker or hangs; in any order.

    A file is set up once, and once more if one of its tests was stolen.
    """
    finished = run(["examples/small_test_runner.py"])
    assert finished.stderr == ""
    *lines, last = finished.stdout.splitlines()
    assert sorted({*lines}) == [
        "        good.py is set up",
        "FAILED  bad.py::test_sum: AssertionError: it is 2",
        "FAILED  ugly.py::test_crash: its worker was ended by SIGKILL",
        "FAILED  ugly.py::test_hang: took longer than a second",
        "passed  good.py::test_one",
        "passed  good.py::test_two",
    ]
    assert len(lines) in (6, 7)
    assert last == "3 have not passed"


def test_words_are_counted_in_the_files_of_the_repository() -> None:
    """One object per file, in the order of the files."""
    files = [str(path.relative_to(ROOT)) for path in sorted(EXAMPLES.glob("*.*"))]
    statistics = run_job("word_statistics.py", files)
    assert [found["file"] for found in statistics] == files
    lines = (ROOT / files[0]).read_text().count("\n")
    assert statistics[0]["lines"] == lines


def test_files_of_the_repository_are_hashed() -> None:
    """The digests are those of the files' bytes."""
    files = [str(path.relative_to(ROOT)) for path in sorted(EXAMPLES.glob("*.py"))]
    for found in run_job("file_hashes.py", files):
        data = (ROOT / str(found["file"])).read_bytes()
        assert found["sha256"] == hashlib.sha256(data).hexdigest()
        assert found["bytes"] == len(data)


def test_the_longest_functions_are_found() -> None:
    """At most three per file, with their lines."""
    [found] = run_job("longest_functions.py", ["examples/hello.py"])
    assert found["functions"] == 2
    assert len(dict(found["longest"])) == 2  # type: ignore[call-overload]


def test_every_example_is_tested_and_listed() -> None:
    """An example added without a test or a line in the README is noticed."""
    names = {path.name for path in EXAMPLES.glob("*.py")}
    assert names == PROGRAMS.keys() | JOBS.keys() | {"small_test_runner.py"}
    page = (EXAMPLES / "README.md").read_text()
    assert [name for name in sorted(names) if f"({name})" not in page] == []


def commands() -> list[str]:
    shell = [block for block in blocks(EXAMPLES / "README.md") if block.language == "bash"]
    return [line for block in shell for line in block.text.splitlines() if "workpool map" in line]


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_readme_works(command: str, tmp_path: Path) -> None:
    """Copied as it stands, it succeeds; `workpool` is this interpreter's."""
    program = tmp_path / "workpool"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m workpool "$@"\n')
    program.chmod(0o755)
    environment = {**ENVIRONMENT, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    finished = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, env=environment, capture_output=True, timeout=25
    )
    assert finished.returncode == 0, finished.stderr
    assert all(json.loads(line)["file"] for line in finished.stdout.splitlines())
