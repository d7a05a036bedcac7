"""Fixtures that are left up for a test that does not come are torn down in the name of the last one."""

from __future__ import annotations

import pytest

from tests.pytest_plugin.acceptance.inner import Inner, Run

LEAVES_UP = """
    from _pytest.runner import runtestprotocol
    def pytest_runtest_protocol(item):
        if not hasattr(item.config, "workerinput"):
            return None
        siblings = (other for other in item.session.items if other.parent is item.parent)
        following = next(other for other in siblings if other is not item)
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        runtestprotocol(item, nextitem=following)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True
"""
"""In a worker each test is taken to be followed by one of its module: what ends that module comes late."""

SUITE = {
    "test_bad.py": """
        import logging, os, pytest, sys, warnings
        @pytest.fixture(scope="module", autouse=True)
        def module():
            yield
            print("bad print")
            assert os.environ["PYTEST_CURRENT_TEST"] == "test_bad.py::test_2 (teardown)"
            os.system("echo bad child >&2")
            logging.warning("bad log")
            warnings.warn("bad warning")
            raise ValueError("on purpose")
        def test_1(): pass
        def test_2(): print("bad call")
    """,
    "test_good.py": """
        import os, pytest, warnings
        @pytest.fixture(scope="module", autouse=True)
        def module():
            yield
            assert "PYTEST_CURRENT_TEST" in os.environ
            print("good print")
            warnings.warn("good warning")
        def test_1(): pass
        def test_2(): print("good call")
    """,
}


def said(run: Run) -> dict[str, int]:
    """Return how often each thing that fixtures and tests say was shown."""
    kinds = ("print", "child", "log", "warning", "call")
    words = [f"{name} {kind}" for name in ("bad", "good") for kind in kinds]
    return {text: sum(line.endswith(text) for line in run.text.splitlines()) for text in words}


@pytest.mark.parametrize("options", [("-rA",), ("-q",), ("-s", "-rA")], ids="_".join)
def test_late_is_as_if_in_time(inner: Inner, options: tuple[str, ...]) -> None:
    """An error is that of the last test, in the file as well; what was printed is shown as serially."""
    inner.write("conftest.py", LEAVES_UP)
    for name, text in SUITE.items():
        inner.write(name, text)
    arguments = ("-p", "no:cacheprovider", *options)
    serial, late = inner.serial(*arguments), inner.workpool(*arguments, workers=1)
    assert late.counts == serial.counts == {"passed": 4, "errors": 1, "warnings": 2}
    assert late.verdicts == serial.verdicts
    assert late.status == serial.status
    assert said(late) == said(serial)
    title = "ERROR at teardown of test_2"
    assert late.text.count(title) == serial.text.count(title) == 1
    assert "did not end well" not in late.text


def test_late_after_a_failure(inner: Inner) -> None:
    """A test that has failed has an error beside; with -x, the run ends with what came late."""
    inner.write("conftest.py", LEAVES_UP)
    inner.write("test_bad.py", SUITE["test_bad.py"].replace('print("bad call")', "assert 0"))
    inner.write("test_good.py", SUITE["test_good.py"])
    arguments = ("-p", "no:cacheprovider")
    serial, late = inner.serial(*arguments), inner.workpool(*arguments, workers=1)
    assert late.counts == serial.counts
    assert late.verdicts == serial.verdicts
    inner.write("test_bad.py", SUITE["test_bad.py"])
    stopped = inner.workpool(*arguments, "-x", workers=1)
    assert stopped.status == pytest.ExitCode.TESTS_FAILED
    assert stopped.counts["errors"] == 1
