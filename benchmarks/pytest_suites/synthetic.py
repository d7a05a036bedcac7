"""Suites made for one question each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

MANY = 10_000
MANY_MODULES = 10
LONG, SHORT = 3.0, 0.01
SHORT_COUNT = 99
FIXTURE_MODULES, FIXTURE_SECONDS = 13, 0.25
FIXTURE_TESTS, FIXTURE_TEST_SECONDS = 8, 0.02
EXIT_TESTS, EXIT_FAILS_AT = 40, 4

NOTE = """
import os

def note(word):
    with open(os.environ["SYNTHETIC_NOTES"], "a") as notes:
        notes.write(word + "\\n")
"""


def one(folder: Path) -> None:
    """Write a single test."""
    (folder / "test_one.py").write_text("def test_one():\n    pass\n")


def many(folder: Path) -> None:
    """Write trivial tests."""
    per_module = MANY // MANY_MODULES
    text = "".join(f"def test_{number}():\n    pass\n\n" for number in range(per_module))
    for module in range(MANY_MODULES):
        (folder / f"test_many_{module}.py").write_text(text)


def _skewed(seconds: list[float]) -> str:
    tests = [
        f"def test_{number:03}():\n    time.sleep({each})\n\n"
        for number, each in enumerate(seconds)
    ]
    return "import time\n\n" + "".join(tests)


LAYOUTS = {
    "long first": [LONG] * 2 + [SHORT] * SHORT_COUNT,
    "long last": [SHORT] * SHORT_COUNT + [LONG] * 2,
    "long at both ends": [LONG] * 2 + [SHORT] * SHORT_COUNT + [LONG] * 2,
}
"""Seconds of each test, in the order of the file."""


def skewed(layout: str) -> Callable[[Path], None]:
    """Return what writes two long tests and many short ones in one of the layouts."""

    def write(folder: Path) -> None:
        (folder / "test_skewed.py").write_text(_skewed(LAYOUTS[layout]))

    return write


def fixtures(folder: Path) -> None:
    """Write modules that have a slow fixture each and note its set-ups."""
    text = f"""
import time
import pytest
{NOTE}
@pytest.fixture(scope="module")
def slow():
    note("set up")
    time.sleep({FIXTURE_SECONDS})

@pytest.mark.parametrize("number", range({FIXTURE_TESTS}))
def test_with_fixture(slow, number):
    time.sleep({FIXTURE_TEST_SECONDS})
"""
    for module in range(FIXTURE_MODULES):
        (folder / f"test_fixture_{module:02}.py").write_text(text)


def early_failure(folder: Path) -> None:
    """Write tests of which an early one fails, and which note that they ran."""
    text = f"""
import time
import pytest
{NOTE}
@pytest.mark.parametrize("number", range(1, {EXIT_TESTS} + 1))
def test_number(number):
    note("ran")
    time.sleep(0.01)
    assert number != {EXIT_FAILS_AT}
"""
    (folder / "test_early_failure.py").write_text(text)
