"""The rules every test lives under: they are kept, and breaking one fails the test that does."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]

BREAKS_THE_RULES = """
import asyncio, os, subprocess, sys, time
import pytest
from tests import conftest, leftovers

leftovers.PATIENCE = 0.1
conftest.TEAR_DOWN_SECONDS = 0.2

@pytest.mark.deadline(0.2)
def test_slow():
    time.sleep(60)

@pytest.mark.deadline(0.2)
async def test_slow_in_a_loop():
    await asyncio.sleep(60)

@pytest.mark.deadline(0.2)
async def test_slow_in_a_callback():
    asyncio.get_running_loop().call_soon(time.sleep, 60)
    await asyncio.sleep(60)

@pytest.fixture
def slow_end():
    yield
    time.sleep(60)

@pytest.mark.deadline(0.2)
def test_slow_to_its_end(slow_end):
    time.sleep(60)

def test_child():
    global child
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])

def test_zombie():
    os.waitid(os.P_PID, os.posix_spawn("/bin/true", ["true"], {}), os.WEXITED | os.WNOWAIT)

def test_descriptor():
    os.open("/dev/zero", os.O_RDONLY)

async def test_coroutine_that_fails():
    await asyncio.sleep(0)
    assert False

async def test_good(tmp_path):
    await asyncio.sleep(0)
    assert tmp_path.is_dir()
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Run the tests above in a pytest of their own and return what it printed."""
    tmp_path = tmp_path_factory.mktemp("rules")
    (tmp_path / "test_rules.py").write_text(BREAKS_THE_RULES)
    options = ["-c", os.devnull, "-p", "tests.conftest", "-p", "no:cacheprovider", "-rA"]
    command = [sys.executable, "-m", "pytest", *options, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    finished = subprocess.run(
        command, env=environment, capture_output=True, text=True, cwd=tmp_path
    )
    return finished.stdout


def test_each_broken_rule_fails_its_test_and_no_other(report: str) -> None:
    """Slow tests, left children, zombies and descriptors fail; a good test passes."""
    failures = dict(re.findall(r"^(?:FAILED|ERROR) \S+::(\w+) - (.*)", report, re.MULTILINE))
    assert failures.keys() == {
        "test_slow",
        "test_slow_in_a_loop",
        "test_slow_in_a_callback",
        "test_slow_to_its_end",
        "test_child",
        "test_zombie",
        "test_descriptor",
        "test_coroutine_that_fails",
    }
    assert re.search(r"^PASSED \S+::test_good$", report, re.MULTILINE)


def test_a_failure_names_what_broke_the_rule(report: str) -> None:
    """The report says how long a test may take, and which process or file it left."""
    assert "took longer than 0.2 s" in report
    assert re.search(r"process \d+: running, .*time.sleep", report)
    assert re.search(r"process \d+: zombie, true", report)
    assert re.search(r"descriptor \d+: /dev/zero", report)


def test_every_test_says_which_property_it_holds() -> None:
    """Each test has a docstring that begins with one line."""
    silent = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in sorted((ROOT / "tests").glob("**/test_*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not (ast.get_docstring(node) or "").strip()
    ]
    assert silent == []
