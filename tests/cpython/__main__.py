"""Run CPython's own tests of executors against `workpool.Executor`.

    python -m tests.cpython                 all that this interpreter ships
    python -m tests.cpython --only PATTERN  those whose ``Class.test`` matches; may be repeated

Nothing of CPython's is copied: an interpreter ships its tests, or it does not, and then this says so
and exits with status 3. A test passes, or `docs/executor.md` lists it with the reason why it cannot
apply; a listed one that passes is as wrong as another one that fails.
"""

from __future__ import annotations

import argparse
import os
import pkgutil
import sys
import time
import unittest
from collections.abc import Iterator
from fnmatch import fnmatchcase
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from tests.cpython.listed import PAGE, read_list, reason_for

SUITE = "test.test_concurrent_futures"
ROOT = Path(__file__).parents[2]
NOT_SHIPPED = 3
MAY_PASS = "(may pass)"


def main(arguments: list[str] | None = None) -> int:
    """Run the tests; return 0 if each did what it should."""
    parser = argparse.ArgumentParser(prog="python -m tests.cpython")
    parser.add_argument("--only", metavar="PATTERN", action="append", help="of Class.test")
    options = parser.parse_args(arguments)
    if not is_shipped():
        print(f"{sys.executable} does not ship {SUITE}")
        return NOT_SHIPPED
    _replace_executor()
    only = options.only or ["*"]
    tests = [t for t in _tests() if any(fnmatchcase(_name(t), pattern) for pattern in only)]
    outcomes = Outcomes(read_list())
    for module in {type(test).__module__ for test in tests}:
        suite = unittest.TestSuite(test for test in tests if type(test).__module__ == module)
        suite.run(outcomes)
    outcomes.report(complete=options.only is None)
    return 0 if tests and outcomes.is_good else 1


def is_shipped() -> bool:
    """Whether this interpreter has the tests."""
    return find_spec("test") is not None and find_spec(SUITE) is not None


class Outcomes(unittest.TestResult):
    """Holds each test's outcome against the list."""

    def __init__(self, listed: dict[str, str]) -> None:
        super().__init__()
        self.passed: list[str] = []
        self.not_applicable: dict[str, str] = {}
        self.wrong: list[str] = []
        self._listed = listed
        self._began = 0.0

    @property
    def is_good(self) -> bool:
        """Whether every test did what it should."""
        return not self.wrong

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802 - the base class's name
        """Take the time."""
        super().startTest(test)
        self._began = time.monotonic()

    def addSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802
        """A test that passes must not be listed."""
        name = _name(test)
        reason = reason_for(name, self._listed)
        if reason is None or reason.startswith(MAY_PASS):
            self.passed.append(name)
            self._tell(name, "passed")
        else:
            self.wrong.append(name)
            self._tell(name, f"PASSED, but {PAGE.name} lists it as not applicable")

    def addFailure(self, test: unittest.TestCase, err: object) -> None:  # noqa: N802
        """A test that fails must be listed."""
        name = _name(test)
        reason = reason_for(name, self._listed)
        if reason is not None:
            self.not_applicable[name] = reason
            self._tell(name, "does not apply")
        else:
            self.wrong.append(name)
            self._tell(name, "FAILED")
            print(self._exc_info_to_string(err, test), flush=True)  # type: ignore[attr-defined]

    addError = addFailure  # noqa: N815

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802
        """One that CPython itself skips is neither."""
        super().addSkip(test, reason)
        self._tell(_name(test), f"skipped: {reason}")

    def addSubTest(  # noqa: N802
        self, test: unittest.TestCase, subtest: unittest.TestCase, err: object
    ) -> None:
        """A part of a test that fails is the test that fails."""
        if err is not None:
            self.addFailure(test, err)

    def report(self, *, complete: bool) -> None:
        """Print the sums, and what the list has too much."""
        if complete:
            known = [*self.not_applicable, *self.passed, *self.wrong]
            for pattern in self._listed:
                if not any(fnmatchcase(name, pattern) for name in known):
                    self.wrong.append(pattern)
                    print(f"{PAGE.name} lists {pattern}, which no test matches")
        print(
            f"{len(self.passed)} passed, {len(self.not_applicable)} do not apply, "
            f"{len(self.skipped)} skipped by CPython, {len(self.wrong)} wrong"
        )

    def _tell(self, name: str, what: str) -> None:
        print(f"{time.monotonic() - self._began:6.2f} s  {name}: {what}", flush=True)


def _replace_executor() -> None:
    """Put our executor in the other's place, in this process and in those that the tests start."""
    site = str(Path(__file__).parent / "site")
    os.environ["PYTHONPATH"] = os.pathsep.join([site, str(ROOT), *filter(None, sys.path)])
    script_helper = import_module("test.support.script_helper")

    from tests.cpython.replacement import replace

    # Else they start interpreters that ignore the environment, and so would not find us.
    setattr(script_helper, "interpreter_requires_environment", lambda: True)  # noqa: B010
    replace()


def _tests() -> Iterator[unittest.TestCase]:
    """Yield the tests of process pools: others do not touch our executor."""
    from workpool import Executor

    package = import_module(SUITE)
    names = [SUITE]
    if hasattr(package, "__path__"):
        names = [f"{SUITE}.{info.name}" for info in pkgutil.iter_modules(package.__path__)]
    for name in names:
        for case in vars(import_module(name)).values():
            if not (isinstance(case, type) and issubclass(case, unittest.TestCase)):
                continue
            kind = getattr(case, "executor_type", Executor)
            if issubclass(kind, Executor) and "Future" not in case.__name__:
                yield from unittest.defaultTestLoader.loadTestsFromTestCase(case)  # type: ignore[misc]


def _name(test: unittest.TestCase) -> str:
    return ".".join(test.id().split(".")[-2:])


if __name__ == "__main__":
    sys.exit(main())
