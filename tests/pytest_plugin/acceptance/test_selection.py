"""The options that choose, order and stop tests do what they do in a serial run."""

from __future__ import annotations

import pytest

from tests.pytest_plugin.acceptance.inner import Inner, assert_same

SUITE = """
    import os
    import pytest
    from noting import note

    BAD = os.environ.get("BAD", "3,7").split(",")

    @pytest.mark.parametrize("n", range(10))
    def test_numbered(n):
        note("ran", n)
        assert str(n) not in BAD

    @pytest.mark.slow
    class TestSlow:
        def test_one(self): note("ran", "one")
        def test_two(self): note("ran", "two")
"""


@pytest.fixture
def suite(inner: Inner) -> Inner:
    """Return a suite of two modules, two tests of each fail."""
    inner.write("test_a.py", SUITE)
    inner.write("test_b.py", SUITE)
    inner.write("pytest.ini", "[pytest]\nmarkers =\n    slow: takes time\n")
    return inner


@pytest.mark.parametrize(
    "arguments",
    [
        ("-k", "numbered and not 3 or two", "test_b.py"),
        ("-m", "not slow", "--deselect", "test_a.py::test_numbered[3]"),
        ("test_b.py::TestSlow::test_two", "test_a.py::test_numbered[7]", "test_a.py::TestSlow"),
    ],
    ids=["keyword", "deselect", "ids"],
)
def test_choosing(suite: Inner, arguments: tuple[str, ...]) -> None:
    """Keywords, marks, ids and deselection choose the same tests."""
    serial, parallel = assert_same(suite, "-p", "no:cacheprovider", *arguments)
    assert len(serial.verdicts) in range(1, 24)
    collected = [[x for x in run.lines if "deselected" in x] for run in (serial, parallel)]
    assert bool(collected[0]) == bool(collected[1])


def test_plugins_that_go_through_the_statistics(suite: Inner) -> None:
    """They find attributes on all that stands there, deselected tests among it, as many as in a serial run."""
    suite.write(
        "conftest.py",
        """
        def pytest_terminal_summary(terminalreporter):
            for category in ("passed", "failed", "deselected"):
                found = [vars(one) and one.nodeid for one in terminalreporter.stats[category]]
                terminalreporter.write_line(f"{len(found)} found {category}")
        """,
    )
    runs = assert_same(suite, "-k", "not two")
    found = [[line for line in run.lines if " found " in line] for run in runs]
    assert found[0] == found[1]
    assert "2 found deselected" in found[1]


def test_last_failed(suite: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Serial runs and runs in workers each know what failed in the last run of the other."""
    suite.serial()
    again = suite.workpool("--lf")
    assert (again.counts["failed"], sum(again.verdicts.values())) == (4, 4)
    monkeypatch.setenv("BAD", "5")
    suite.workpool()
    assert suite.serial("--lf").counts["failed"] == 2
    monkeypatch.setenv("BAD", "none")
    repaired = suite.workpool("--lf")
    assert repaired.counts["passed"] == 2
    everything = suite.workpool("--lf")
    assert everything.counts["passed"] == 24


def test_failed_and_new_first(suite: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    """--ff begins with what failed, --nf with new files; the outcomes are those of all tests.

    A worker may come late. But it is given nothing else first before all that failed have been given to somebody.
    """
    suite.serial()
    first = suite.workpool("--ff", "--workpool-scope=test")
    assert first.counts == {"failed": 4, "passed": 20}
    has_failed = [note.words[1] in ("3", "7") for note in first.notes]
    pids = [note.pid for note in first.notes]
    for begin in map(pids.index, set(pids)):
        assert has_failed[begin] or sum(has_failed[:begin]) >= 2, first.notes
    suite.workpool("--nf")
    suite.write("test_new.py", "from noting import note\ndef test_new(): note('ran', 'new')\n")
    newest = suite.workpool("--nf", "--workpool-scope=test")
    assert newest.counts == {"failed": 4, "passed": 21}
    assert ("ran", "new") in [events[0] for events in newest.by_process().values()]


def test_stepwise(suite: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    """--sw stops at a failure and goes on there the next time."""
    first = suite.workpool("--sw")
    assert first.counts["failed"] >= 1
    assert first.status == pytest.ExitCode.INTERRUPTED
    monkeypatch.setenv("BAD", "none")
    second = suite.workpool("--sw")
    assert second.status == 0
    ran = [note.words for note in [*first.notes, *second.notes]]
    names = [*map(str, range(10)), "one", "two"]
    assert {("ran", name) for name in names} <= set(ran)


def test_stepwise_goes_by_the_order(inner: Inner) -> None:
    """The next run begins with the first test that failed or was broken off, whatever failed first in time."""
    inner.write(
        "test_order.py",
        """
        import threading
        from noting import note, wait_for
        def test_well(): pass
        def test_first():
            note("begun")
            threading.Event().wait()
        def test_second():
            wait_for("begun")
            assert 0
        """,
    )
    first = inner.workpool("--sw", "--workpool-scope=test")
    assert first.counts == {"passed": 1, "failed": 1}
    names = ("well", "first", "second")
    inner.write("test_order.py", "\n".join(f"def test_{name}(): pass" for name in names))
    again = inner.workpool("--sw")
    assert again.counts == {"passed": 2, "deselected": 1}


def test_stepwise_forgives_one_failure(suite: Inner) -> None:
    """With --sw-skip the next run begins with the second that failed in their order."""
    suite.workpool("--sw-skip", "test_a.py")
    again = suite.serial("--sw", "--co", "-q", "test_a.py")
    assert "test_a.py::test_numbered[3]" not in again.lines
    assert "test_a.py::test_numbered[7]" in again.lines


@pytest.mark.parametrize(("option", "failures"), [("-x", 1), ("--maxfail=2", 2)])
def test_stopping(inner: Inner, option: str, failures: int) -> None:
    """After so many failures nothing begins any more, and what the workers still run is broken off."""
    inner.write(
        "test_stop.py",
        """
        import threading
        import pytest
        from noting import note
        @pytest.mark.parametrize("n", range(40))
        def test_it(n):
            note("ran", n)
            assert n not in (3, 5)
            if n > 5: threading.Event().wait()
        """,
    )
    serial, parallel = inner.serial(option), inner.workpool(option)
    assert serial.counts["failed"] == failures
    assert failures <= parallel.counts["failed"] <= 2
    assert len(parallel.notes) <= len(serial.notes) + 2, parallel.text
    assert f"stopping after {failures} failures" in parallel.text
    assert parallel.status == serial.status


@pytest.mark.parametrize("option", ["-x", "--sw"])
def test_little_runs_beyond_a_failure(inner: Inner, option: str) -> None:
    """With -x, and with --sw, two tests more than serially may have run, and more than that never, however long a failure takes."""
    inner.write(
        "test_stop.py",
        """
        import time
        import pytest
        from noting import note, wait_for
        @pytest.mark.parametrize("n", range(40))
        def test_it(n):
            note("ran", n)
            if n == 3:
                wait_for("ran", 5)
                time.sleep(0.3)  # in which others could begin
                assert False
        """,
    )
    run = inner.workpool(option)
    assert run.counts == {"failed": 1, "passed": 5}, run.text
    assert sorted(int(note.words[1]) for note in run.notes) == [*range(6)]


def test_stopped_by_a_test(inner: Inner) -> None:
    """`session.shouldstop`, `pytest.exit` and a `KeyboardInterrupt` of a test end the run."""
    inner.write(
        "test_ends.py",
        """
        import threading
        import pytest
        @pytest.mark.parametrize("n", range(30))
        def test_it(n, request):
            if n == 2: END
            if n > 2: threading.Event().wait()
        """,
    )
    text = (inner.path / "test_ends.py").read_text()
    ends = {
        "request.session.shouldstop = 'enough of it'": ("enough of it", 2),
        "request.session.shouldfail = 'failed enough'": ("failed enough", 1),
        "pytest.exit('leaving early', returncode=7)": ("leaving early", 7),
        "raise KeyboardInterrupt": ("KeyboardInterrupt", 2),
    }
    for end, (words, status) in ends.items():
        inner.write("test_ends.py", text.replace("END", end))
        parallel = inner.workpool()
        assert words in parallel.text, parallel.text
        assert parallel.status == status, end
        assert parallel.counts.get("passed", 0) <= 3
