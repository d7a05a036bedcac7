"""Small runs: no worker that would find nothing to do, and none at all where it is known that they cost more."""

from __future__ import annotations

import pytest

from tests.pytest_plugin.acceptance.inner import Inner, Run
from workpool.pytest_plugin._stages import AT_ONCE

IN_PROCESS = "the tests run in this process"

SESSIONS = """
    from noting import note
    def pytest_sessionstart(session):
        worker = getattr(session.config, "workerinput", {}).get("workerid", "controller")
        note("session", worker, session.config.getoption("numprocesses", None))
"""


@pytest.fixture
def suite(inner: Inner) -> Inner:
    """Return a suite that notes its sessions."""
    inner.write("conftest.py", SESSIONS)
    write_tests(inner, 1)
    return inner


def write_tests(inner: Inner, count: int, body: str = "note('ran', n)") -> None:
    inner.write(
        "test_some.py",
        f"""
        import os, time, pytest
        from noting import note
        @pytest.mark.parametrize("n", range({count}))
        def test_some(n): {body}
        """,
    )


def sessions(run: Run) -> list[str]:
    """Return the names of the workers that have opened a session, and "controller"."""
    return sorted(note.words[1] for note in run.notes if note.words[0] == "session")


def is_in_process(run: Run) -> bool:
    found = sessions(run) == ["controller"]
    assert found == (IN_PROCESS in run.text)
    return found


def test_a_run_known_to_be_tiny(suite: Inner) -> None:
    """With `auto`, and `-n auto`, it stays in the process; plugins see no parallel run, as without xdist."""
    first, *later = [suite.workpool(workers="auto") for _ in range(3)]
    assert not is_in_process(first)
    for run in [*later, suite.run("-n", "auto", "test_some.py"), suite.run("-nauto", ".")]:
        assert run.status == 0
        assert is_in_process(run)
        assert run.noted("session", "controller", "None") == 1
        assert run.noted("ran", "0") == 1
    assert sessions(suite.workpool(workers=2)) == ["controller", "gw0"]
    assert IN_PROCESS not in suite.serial().text


def test_a_run_that_may_need_workers(suite: Inner) -> None:
    """It has them: with tests that nothing is known of, with a time limit, with nothing to go by."""
    suite.workpool(workers="auto")
    suite.write("test_other.py", "def test_other(): pass\n")
    for arguments in (
        ["test_other.py"],
        ["--workpool-timeout=50"],
        ["--workpool-slow=50"],
        ["--cache-clear"],
        ["-p", "no:cacheprovider"],
        ["--pyargs", "test_some"],
    ):
        assert not is_in_process(suite.workpool(*arguments, workers="auto")), arguments


def test_what_took_long_has_workers_until_it_does_not(suite: Inner) -> None:
    """What runs without them is timed as well."""
    write_tests(suite, 1, "time.sleep(0.4)")
    suite.workpool(workers="auto")
    assert not is_in_process(suite.workpool(workers="auto"))
    write_tests(suite, 1, "time.sleep(0)")
    suite.workpool(workers="auto")
    assert is_in_process(suite.workpool(workers="auto"))
    write_tests(suite, 1, "time.sleep(0.4)")
    assert is_in_process(suite.workpool(workers="auto")), "nothing else is known yet"
    assert not is_in_process(suite.workpool(workers="auto"))


def test_a_test_that_ends_its_process_has_a_worker(suite: Inner) -> None:
    """Once it has done so, in a worker or in pytest's own process, until it does so no more."""
    ends_process = "os.environ.get('ENDS') and os._exit(3)"
    write_tests(suite, 1, ends_process)
    suite.workpool(workers="auto")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENDS", "1")
        assert is_in_process(suite.workpool(workers="auto"))  # and it ends with it
        crashed = suite.workpool(workers="auto")
        assert not is_in_process(crashed)
        assert "exited with code 3" in crashed.text
        assert not is_in_process(suite.workpool(workers="auto"))
    assert not is_in_process(suite.workpool(workers="auto"))
    assert is_in_process(suite.workpool(workers="auto"))


def test_as_many_sessions_as_there_are_tests(suite: Inner) -> None:
    """What the last run had begins at once; if there are more by now, the others follow."""
    assert sessions(suite.workpool(workers="auto")) in (
        ["controller", "gw0"],
        ["controller", "gw0", "gw1"],  # it took the first too long
    )
    write_tests(suite, 2, "time.sleep(0.3)")
    suite.workpool(workers=3)
    two = suite.workpool(workers=3)
    assert sessions(two) == ["controller", "gw0", "gw1"]
    write_tests(suite, 12, "(note('ran', n), time.sleep(0.1))")
    more = suite.workpool(workers=3)
    assert sessions(more) == ["controller", "gw0", "gw1", "gw2"]
    assert sorted(note.words[1] for note in more.notes if note.words[0] == "ran") == sorted(
        map(str, range(12))
    )


def test_many_workers_for_few_tests(suite: Inner) -> None:
    """Where it is not known how many tests there are, a few workers begin; the others are for what there is to do."""
    write_tests(suite, AT_ONCE + 2, "(note('ran', n), time.sleep(0.02))")
    suite.write(
        "test_count.py",
        """
        import os
        from noting import note
        def test_count():
            with open(f"/proc/{os.getppid()}/task/{os.getppid()}/children") as children:
                note("processes", len(children.read().split()))
        """,
    )
    tests = AT_ONCE + 3
    for options in (["-p", "no:cacheprovider"], [], []):
        run = suite.workpool(*options, workers=tests + 20)
        assert run.counts == {"passed": tests}, run.text
        [processes] = [int(note.words[1]) for note in run.notes if note.words[0] == "processes"]
        assert max(processes, len(sessions(run)) - 1) <= tests


def test_a_first_worker_that_cannot_collect(inner: Inner) -> None:
    """The others try: the run neither hangs nor ends without them."""
    inner.write(
        "conftest.py",
        """
        import os
        def pytest_sessionstart(session):
            if os.environ.get("PYTEST_XDIST_WORKER") == "gw0":
                raise RuntimeError("not here")
        """,
    )
    write_tests(inner, 2)
    run = inner.workpool(workers="auto")
    assert "not here" in run.text
    if "workpool: 1 worker" not in run.text:  # as where there is one CPU
        assert run.noted("ran", "0") == run.noted("ran", "1") == 1
    inner.write(
        "conftest.py", "import os\nassert 'PYTEST_XDIST_WORKER' not in os.environ, 'nowhere'\n"
    )
    nowhere = inner.workpool("-p", "no:cacheprovider", workers="auto")
    assert nowhere.status == pytest.ExitCode.INTERRUPTED
    assert "nowhere" in nowhere.text
