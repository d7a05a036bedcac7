"""Workers that do not collect the same, or cannot collect at all."""

from __future__ import annotations

import pytest

from tests.pytest_plugin.acceptance.inner import Inner


def test_another_order_in_each_worker(inner: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    """A suite whose order differs between workers runs as serially: tests are known by their ids."""
    monkeypatch.setenv("PYTHONHASHSEED", "random")
    inner.write(
        "test_sets.py",
        """
        import pytest
        @pytest.mark.parametrize("word", set("abcdefghij"))
        def test_word(word): assert word != "e"
        """,
    )
    serial, parallel = inner.serial(), inner.workpool()
    assert parallel.verdicts == serial.verdicts
    assert parallel.status == serial.status == pytest.ExitCode.TESTS_FAILED


def test_tests_that_one_worker_alone_has(inner: Inner) -> None:
    """What all have runs; what some have not is named, and the run does not end well.

    Two tests that wait for each other see to it that both workers take part.
    """
    inner.write(
        "test_own.py",
        """
        import os, pytest
        from noting import note, wait_for
        @pytest.mark.parametrize("worker", [os.environ.get("PYTEST_XDIST_WORKER", "none")])
        def test_own(worker): pass
        @pytest.mark.parametrize("n", range(6))
        def test_common(n): pass
        def test_x():
            note("x")
            wait_for("y")
        def test_y():
            note("y")
            wait_for("x")
        """,
    )
    run = inner.workpool()
    assert sum(name.startswith("test_own::test_common") for name, _ in run.verdicts) == 6
    assert run.status != 0
    for worker in ("gw0", "gw1"):
        assert f"test_own[{worker}]" in run.text


def test_a_conftest_that_raises_in_workers(inner: Inner) -> None:
    """Its traceback is shown once, and no test runs."""
    inner.write(
        "conftest.py",
        """
        import os
        if "PYTEST_XDIST_WORKER" in os.environ:
            raise RuntimeError("not in a worker")
        """,
    )
    inner.write("test_one.py", "def test_1(): pass\ndef test_2(): pass\n")
    run = inner.workpool()
    assert run.status not in (0, pytest.ExitCode.NO_TESTS_COLLECTED, pytest.ExitCode.TESTS_FAILED)
    assert run.text.count('raise RuntimeError("not in a worker")') == 1, run.text
    assert "RuntimeError: not in a worker" in run.text
    assert "conftest.py" in run.text
    assert run.counts.get("passed", 0) == 0


@pytest.mark.parametrize("ci", ["", "true"])
def test_sessions_that_break(inner: Inner, ci: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that ends its process while it collects, and one that raises at its end, are errors, each shown once.

    Also where pytest does not shorten its summary, as it does not on CI.
    """
    monkeypatch.setenv("CI", ci)
    inner.write("test_one.py", "def test_1(): pass\ndef test_2(): pass\n")
    inner.write(
        "conftest.py",
        """
        import os
        def pytest_collection_finish(session):
            if hasattr(session.config, "workerinput"): os._exit(4)
        """,
    )
    run = inner.workpool()
    assert run.status == pytest.ExitCode.INTERRUPTED, run.text
    assert run.counts == {"errors": 1}
    assert "exited with code 4 while it collected the tests.\n" in run.text
    inner.write(
        "conftest.py",
        """
        def pytest_sessionfinish(session):
            if hasattr(session.config, "workerinput"): raise ValueError("not at the end")
        """,
    )
    run = inner.workpool()
    assert run.status == pytest.ExitCode.TESTS_FAILED, run.text
    assert run.counts == {"passed": 2, "errors": 1}
    assert run.text.count("E   ValueError: not at the end") == 1, run.text
    assert "ERROR workpool worker gw" in run.text


def test_what_cannot_be_sent(inner: Inner) -> None:
    """Sections, properties, ids and warnings that cannot be pickled arrive as text."""
    inner.write(
        "conftest.py",
        """
        import pytest
        class Odd:
            def __reduce__(self): raise TypeError("no pickling")
            def __repr__(self): return "an odd thing"
        class OddWarning(UserWarning):
            def __init__(self, a, b): super().__init__(f"{a} and {b}")
            def __reduce__(self): raise TypeError("no pickling")
        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_makereport(item, call):
            report = yield
            report.user_properties.append(("odd", Odd()))
            report.extra = Odd()
            return report
        """,
    )
    inner.write(
        "test_odd.py",
        """
        import warnings
        from conftest import OddWarning
        def test_warns(): warnings.warn(OddWarning("this", "that"))
        def test_fails(): assert 0
        """,
    )
    run = inner.workpool()
    assert run.counts == {"failed": 1, "passed": 1, "warnings": 1}, run.text
    assert "this and that" in run.text
