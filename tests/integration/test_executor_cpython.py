"""A part of CPython's own executor tests; `python -m tests.cpython` runs all of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cpython.__main__ import NOT_SHIPPED, is_shipped
from tests.cpython.listed import read_list, reason_for

ROOT = Path(__file__).parents[2]

# Quick ones of every kind; the start methods make no difference.
PART = [
    "ProcessPoolSpawn*Test.test_submit*",
    "ProcessPoolSpawn*Test.test_map",
    "ProcessPoolSpawn*Test.test_map_exception",
    "ProcessPoolSpawn*Test.test_no_stale_references",
    "ProcessPoolSpawn*Test.test_traceback",
    "ProcessPoolSpawn*Test.test_max_*",
    "ProcessPoolSpawn*Test.test_run_after_shutdown",
    "ProcessPoolSpawn*Test.test_hang_gh94440",
    "ProcessPoolSpawn*Test.test_exit_during_func_exec_on_worker",
]


@pytest.mark.deadline(120)
def test_a_part_of_cpythons_tests_passes_or_is_listed() -> None:
    """Where the interpreter ships them; elsewhere the runner says that it does not."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
    }
    options = [option for pattern in PART for option in ("--only", pattern)]
    finished = subprocess.run(
        [sys.executable, "-m", "tests.cpython", *options],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    expected = 0 if is_shipped() else NOT_SHIPPED
    assert finished.returncode == expected, finished.stdout + finished.stderr


def test_the_list_gives_a_reason_for_each_test() -> None:
    """The page is what the runner goes by."""
    listed = read_list()
    assert reason_for("ProcessPoolForkProcessPoolExecutorTest.test_killed_child", listed)
    assert reason_for("ProcessPoolForkProcessPoolExecutorTest.test_submit", listed) is None
    assert all(len(reason) > 5 for reason in listed.values())
