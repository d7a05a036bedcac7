"""What is off unless asked for: retries, notices of slow tests, failures at once, things made once."""

from __future__ import annotations

import re

import pytest

from tests.pytest_plugin.acceptance.inner import Inner

MODES = pytest.mark.parametrize("mode", [(), ("--workpool=2",)], ids=["serial", "workers"])

UNSTEADY = """
    import os
    import pytest
    from noting import note, noted

    def tried(name):
        note(name)
        return sum(words == [name] for words in noted())

    def test_third_time_lucky(): assert tried("third") == 3
    def test_never(): assert tried("never") == 0
    def test_at_once(): tried("once")

    @pytest.fixture(scope="module")
    def shaky():
        assert tried("fixture") == 2
        return 5
    def test_set_up_at_last(shaky): assert shaky == 5

    @pytest.fixture
    def fresh():
        tried("fresh")
        yield
        tried("gone")
    def test_with_fresh_fixtures(fresh): assert tried("body") == 2

    @pytest.mark.xfail
    def test_expected(): assert tried("expected") == 0
    @pytest.mark.skip
    def test_skipped(): pass
"""


@MODES
def test_retries(inner: Inner, mode: tuple[str, ...]) -> None:
    """What fails runs again with fresh fixtures; what passes then is flaky, and no failure."""
    inner.write("test_it.py", UNSTEADY)
    run = inner.run("--workpool-retries=2", "-k", "not never", *mode)
    expected = {"passed": 1, "flaky": 3, "xfailed": 1, "skipped": 1, "deselected": 1}
    assert run.counts == expected, run.text
    assert run.status == 0
    tries = {"third": 3, "once": 1, "fixture": 2, "fresh": 2, "gone": 2, "expected": 1}
    assert {name: run.noted(name) for name in tries} == tries
    assert "FLAKY test_it.py::test_third_time_lucky: passed in attempt 3 of 3" in run.text
    assert re.search(r"attempt 2: AssertionError: assert 2 == 3", run.text)


@MODES
def test_retries_run_out(inner: Inner, mode: tuple[str, ...]) -> None:
    """A test that fails in all attempts has failed once, with a word about each."""
    inner.write("test_it.py", UNSTEADY)
    run = inner.run("--workpool-retries=1", "-k", "never or third or once", *mode)
    assert run.counts == {"failed": 2, "passed": 1, "deselected": 4}, run.text
    assert run.status == 1
    assert run.noted("never") == run.noted("third") == 2
    assert run.text.count("Attempt 1 failed") == 2


def test_retries_after_a_crash(inner: Inner) -> None:
    """A test that ends its worker runs again in another one, as often as one that fails."""
    inner.write(
        "test_it.py",
        """
        import os, signal
        from noting import note, noted
        def crash(): os.kill(os.getpid(), signal.SIGKILL)
        def test_once():
            note("once")
            if noted().count(["once"]) == 1: crash()
        def test_always():
            note("always")
            crash()
        """,
    )
    run = inner.workpool("--workpool-retries=1")
    assert run.counts == {"failed": 1, "flaky": 1, "retried": 2}, run.text
    assert run.noted("once") == run.noted("always") == 2
    assert re.search(r"attempt 1: worker gw\d .*SIGKILL", run.text)


def test_no_retry_after_the_time_limit(inner: Inner) -> None:
    """A test that took too long is not run again: it would take as long."""
    inner.write(
        "test_it.py",
        """
        import threading
        from noting import note
        def test_hangs():
            note("began")
            threading.Event().wait()
        """,
    )
    run = inner.workpool("--workpool-retries=3", "--workpool-timeout=0.3")
    assert run.counts == {"failed": 1}, run.text
    assert run.noted("began") == 1


@pytest.mark.parametrize(
    "option",
    [
        "--workpool-retries=-1",
        "--workpool-retries=some",
        "--workpool-slow=0",
        "--workpool-slow=soon",
        "--workpool-failures=never",
    ],
)
def test_wrong_values(inner: Inner, option: str) -> None:
    """Values that cannot be right are usage errors, in serial runs too."""
    inner.write("test_it.py", "def test_it(): pass")
    assert inner.run(option).status == pytest.ExitCode.USAGE_ERROR


def test_slow_tests_are_pointed_out(inner: Inner) -> None:
    """While a test runs for long, a line says so, with its worker; a quick one is not spoken of."""
    inner.write("pytest.ini", "[pytest]\nworkpool_slow = 0.2\n")
    inner.write(
        "test_it.py",
        """
        from noting import wait_for
        def test_slow(): wait_for("seen")
        def test_quick(): pass
        """,
    )
    with inner.begun() as process:
        assert process.stdout is not None
        line = next(line for line in process.stdout if "SLOW" in line)
        with inner.notes_file.open("a") as notes:
            notes.write("0 seen\n")
        assert process.wait() == 0
        rest = process.stdout.read()
    assert re.match(r"SLOW \[> [\d.]+s\] gw\d runs test_it.py::test_slow", line)
    assert "test_quick" not in rest


def test_failures_are_shown_at_once(inner: Inner) -> None:
    """A failure is shown while others run still, and with all others at the end."""
    inner.write(
        "test_it.py",
        """
        from noting import wait_for
        def test_fails(): assert "this" == "that"
        def test_runs(): wait_for("seen")
        """,
    )
    with inner.begun("--workpool-failures=at-once", "--workpool-scope=test") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("E ") and "'this' == 'that'" in line:
                break
        with inner.notes_file.open("a") as notes:
            notes.write("0 seen\n")
        rest = process.stdout.read()
        assert process.wait() == 1
    assert "= FAILURES =" in rest
    assert "'this' == 'that'" in rest


ONCE = """
    import os
    import pytest
    from noting import note, wait_for

    @pytest.fixture(scope="session")
    def server(once_per_run):
        def start():
            note("made")
            return {"port": 1234, "by": os.getpid()}
        return once_per_run("a server", start, lambda server: note("undone", server["port"]))

    @pytest.mark.parametrize("n", range(4))
    def test_it(server, n):
        assert server["port"] == 1234
        note("used", server["by"])
        wait_for("used", server["by"], count=2)
    def test_same(server, once_per_run): assert once_per_run("a server", lambda: 0) is server
"""


@MODES
def test_once_per_run(inner: Inner, mode: tuple[str, ...]) -> None:
    """What is made once is the same in all workers, and undone once, when nobody uses it any more."""
    inner.write("test_it.py", ONCE if mode else ONCE.replace("count=2", "count=1"))
    run = inner.run("--workpool-scope=test", *mode)
    assert run.counts == {"passed": 5}, run.text
    assert run.noted("made") == 1
    words = [note.words for note in run.notes]
    assert words.count(("undone", "1234")) == 1
    assert words[-1] == ("undone", "1234")
    users = {note.pid for note in run.notes if note.words[0] == "used"}
    assert len(users) == (2 if mode else 1)


def test_once_per_run_after_a_failure(inner: Inner) -> None:
    """If making it fails, whoever asks next tries again; a worker that dies takes nothing away."""
    inner.write(
        "test_it.py",
        """
        import os
        from noting import note, noted
        def make():
            note("made")
            if noted().count(["made"]) == 1: raise OSError("not yet")
            return 5
        def test_fails(once_per_run): once_per_run("x", make)
        def test_dies(once_per_run): once_per_run("x", make), os._exit(1)
        def test_passes(once_per_run): assert once_per_run("x", make) == 5
        """,
    )
    run = inner.workpool(workers=1)
    assert run.counts == {"failed": 2, "passed": 1}, run.text
    assert run.noted("made") == 2


def test_one_log_file(inner: Inner) -> None:
    """`--log-file` has the records of all workers, and nothing of the run before."""
    inner.write(
        "test_it.py",
        """
        import logging
        import pytest
        from noting import note, wait_for
        @pytest.mark.parametrize("n", range(4))
        def test_it(n, worker_id):
            note("began", worker_id)
            logging.getLogger().info("record %d of %s", n, worker_id)
            wait_for("began", "gw0"), wait_for("began", "gw1")
        """,
    )
    log = inner.write("out.log", "old\n")
    run = inner.workpool("--log-file=out.log", "--log-file-level=INFO", "--workpool-scope=test")
    assert run.counts == {"passed": 4}, run.text
    lines = log.read_text().splitlines()
    assert sorted(re.findall(r"record (\d)", "\n".join(lines))) == ["0", "1", "2", "3"]
    assert len(lines) == 4
