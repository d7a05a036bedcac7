"""What plugins do with reports and hooks in a worker comes out as in a serial run."""

from __future__ import annotations

import pytest

from tests.pytest_plugin.acceptance.inner import Inner, assert_same

RETRYING = """
    import pytest
    def pytest_runtest_logstart(nodeid, location): pass
    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(item, call):
        report = yield
        if report.when == "call":
            kept, report.outcome = report.outcome, "retried"
            report.sections.append(("Attempt", "told at first"))
            item.ihook.pytest_runtest_logreport(report=report)
            report.outcome = kept
            report.sections.pop()
        return report
    def pytest_report_teststatus(report):
        if report.outcome == "retried":
            assert ("Attempt", "told at first") in report.sections
            return "retried", "R", "RETRIED"
        assert not report.sections
"""


def test_reports_are_seen_as_they_were(inner: Inner) -> None:
    """A plugin that passes a report on, and changes it then, does not change what was passed on."""
    inner.write("conftest.py", RETRYING)
    inner.write("test_two.py", "def test_a(): assert 0\ndef test_b(): pass\n")
    _, parallel = assert_same(inner, "-v")
    assert parallel.counts == {"failed": 1, "passed": 1, "retried": 2}


@pytest.mark.parametrize("hook", ["protocol", "setup", "logreport", "teardown"])
def test_a_hook_that_raises(inner: Inner, hook: str) -> None:
    """Its test fails with the whole traceback, down to where it was raised; the other tests run."""
    function = {
        "protocol": "def pytest_runtest_protocol(item, nextitem): helper(item.name)",
        "setup": "def pytest_runtest_logstart(nodeid): helper(nodeid)",
        "logreport": "def pytest_runtest_logreport(report): helper(report.nodeid)",
        "teardown": "def pytest_runtest_logfinish(nodeid): helper(nodeid)",
    }[hook]
    inner.write(
        "conftest.py",
        f"""
        import os
        HERE = "PYTEST_XDIST_WORKER" in os.environ
        def helper(name):
            if HERE and "test_b" in name: raise RuntimeError("from a hook")
        {function}
        """,
    )
    inner.write(
        "test_three.py",
        """
        import pytest
        @pytest.fixture(scope="module", autouse=True)
        def module(): yield
        @pytest.mark.parametrize("name", "abc")
        def test(name): pass
        def test_b(): pass
        def test_c(): pass
        """,
    )
    run = inner.workpool("-p", "no:cacheprovider")
    kind = "errors" if hook == "teardown" else "failed"
    assert run.counts[kind] == 1, run.text
    assert run.counts["passed"] == (5 if hook == "teardown" else 4)
    assert 'raise RuntimeError("from a hook")' in run.text
    assert "in helper" in run.text or "def helper" in run.text
    assert "test_three.py::test_b was cut short" in run.text
    assert run.text.count("RuntimeError: from a hook") >= 2  # in the summary too
    assert run.status == pytest.ExitCode.TESTS_FAILED


def test_collections_of_one_name(inner: Inner) -> None:
    """A module that is collected twice, for its doctests, has two errors, and not one for each worker."""
    inner.write("test_bad.py", "import there_is_no_such_module\n")
    inner.write("test_ok.py", "def test_ok(): pass\n")
    _, parallel = assert_same(inner, "--doctest-modules", "--continue-on-collection-errors")
    assert parallel.counts["errors"] == 2


def test_what_a_worker_leaves_for_its_node(inner: Inner) -> None:
    """Built-in values arrive as they are, of classes of the user's what is built-in in them."""
    inner.write(
        "conftest.py",
        """
        import enum
        class Number(enum.IntEnum): ONE = 1
        LEFT = {"set": {1, (2, "x")}, "frozen": frozenset({"a"}), "complex": 1j, "number": Number.ONE}
        def pytest_sessionfinish(session):
            if hasattr(session.config, "workeroutput"):
                assert session.config.workeroutput["exitstatus"] == 1
                session.config.workeroutput.update(LEFT, odd={object})
        import pytest
        @pytest.hookimpl(optionalhook=True)
        def pytest_testnodedown(node, error):
            assert LEFT.items() <= node.workeroutput.items(), node.workeroutput
            given = [node.workeroutput[name] for name in ("exitstatus", "shouldfail", "shouldstop")]
            print("given:", given, node.workeroutput["odd"])
        """,
    )
    inner.write("test_one.py", "def test_one(): assert 0\n")
    run = inner.workpool("-p", "no:cacheprovider", workers=1)
    assert """given: [1, False, False] {"<class 'object'>"}""" in run.text
