"""A test that kills its worker or hangs costs its own outcome only, and the run ends."""

from __future__ import annotations

import pytest

from tests.pytest_plugin.acceptance.inner import Inner, Run

DEADLY = """
    import ctypes, os, signal, sys
    import pytest
    from noting import note

    @pytest.fixture(scope="module")
    def module(): return 1
    @pytest.fixture
    def deadly_end():
        yield
        os._exit(9)

    @pytest.mark.parametrize("n", range(12))
    def test_good(module, n): note("ran", f"good{n}")
    def test_exits():
        note("ran", "exits")
        print("last words of the exit", flush=True)
        os._exit(3)
    @pytest.mark.parametrize("n", range(12))
    def test_fine(module, n): note("ran", f"fine{n}")
    def test_segfault():
        note("ran", "segfault")
        print("last words of the fault", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)
    def test_killed():
        note("ran", "killed")
        os.kill(os.getpid(), signal.SIGKILL)
    def test_dies_at_tear_down(deadly_end): note("ran", "tear-down")
    def test_fails(): assert 0
"""


def failures(run: Run) -> dict[str, str]:
    """Return the lines of the short summary by the test's name."""
    found = {}
    for line in run.lines:
        word, _, rest = line.partition(" ")
        if word in ("FAILED", "ERROR") and "::" in rest:
            name, _, reason = rest.partition(" - ")
            found[name.rpartition("::")[2]] = reason
    return found


@pytest.mark.parametrize("scope", ["auto", "module"])
def test_tests_that_kill_their_worker(inner: Inner, scope: str) -> None:
    """Each fails once, with the cause and its last words; every other test runs once and passes."""
    inner.write("test_deadly.py", DEADLY)
    run = inner.workpool("-v", f"--workpool-scope={scope}")
    failed = failures(run)
    deadly = {"test_exits", "test_segfault", "test_killed", "test_dies_at_tear_down"}
    assert deadly | {"test_fails"} <= failed.keys(), run.text
    assert "3" in failed["test_exits"]
    assert "SIGSEGV" in failed["test_segfault"]
    assert "SIGKILL" in failed["test_killed"]
    for words in ("last words of the exit", "last words of the fault"):
        assert words in run.text
    names = [f"{kind}{n}" for kind in ("good", "fine") for n in range(12)]
    for name in [*names, "exits", "segfault", "killed", "tear-down"]:
        assert run.noted("ran", name) == 1, (name, run.text)
    assert run.status == pytest.ExitCode.TESTS_FAILED


def test_stopping_at_a_crash(inner: Inner) -> None:
    """With -x a crash is a failure like any other: the run stops there."""
    inner.write(
        "test_stop.py",
        """
        import os, pytest
        from noting import note
        @pytest.mark.parametrize("n", range(40))
        def test_it(n):
            note("ran", n)
            if n == 3: os._exit(1)
        """,
    )
    run = inner.workpool("-x", "--workpool-scope=module")
    assert len(run.notes) <= 8
    assert run.counts["failed"] == 1
    assert run.noted("ran", "3") == 1


def test_a_deadly_fixture_and_import(inner: Inner) -> None:
    """A set-up that kills every worker it runs in ends the run, with the test named."""
    inner.write(
        "test_fixture.py",
        """
        import os, pytest
        @pytest.fixture(scope="session")
        def deadly(): os._exit(5)
        def test_1(deadly): pass
        def test_2(deadly): pass
        def test_3(): pass
        """,
    )
    run = inner.workpool()
    assert {"test_1", "test_2"} == failures(run).keys(), run.text
    assert run.counts["passed"] == 1
    inner.write(
        "test_fixture.py", "import os\nif 'PYTEST_XDIST_WORKER' in os.environ: os._exit(5)\n"
    )
    dead = inner.workpool()
    assert dead.status not in (0, pytest.ExitCode.NO_TESTS_COLLECTED)
    assert "5" in dead.text


def test_tests_that_hang(inner: Inner) -> None:
    """A time limit ends a test that hangs, in C with the GIL too; the others run on."""
    inner.write(
        "test_hangs.py",
        """
        import ctypes, threading
        import pytest
        def test_hangs_in_python():
            print("before the hang", flush=True)
            threading.Event().wait()
        def test_hangs_in_c(): ctypes.PyDLL(None).sleep(1000)
        @pytest.mark.parametrize("n", range(6))
        def test_good(n): pass
        """,
    )
    run = inner.workpool("--workpool-timeout=1.5")
    failed = failures(run)
    assert {"test_hangs_in_python", "test_hangs_in_c"} == failed.keys(), run.text
    assert all("1.5" in reason for reason in failed.values())
    assert "before the hang" in run.text
    assert run.counts["passed"] == 6


@pytest.mark.parametrize("place", ["pytest_sessionfinish", "fixture"])
def test_a_worker_that_dies_when_its_session_ends(inner: Inner, place: str) -> None:
    """That is an error of the run, with how it ended and what it had printed; the tests have passed."""
    function = {
        "pytest_sessionfinish": "def pytest_sessionfinish(session):",
        "fixture": "@pytest.fixture(scope='session', autouse=True)\n        def session():\n            yield",
    }[place]
    inner.write(
        "conftest.py",
        f"""
        import os, pytest, sys
        from _pytest.runner import runtestprotocol
        {function}
            if "PYTEST_XDIST_WORKER" in os.environ:
                os.write(2, b"words at the end\\n")
                os._exit(7)
        def pytest_runtest_protocol(item):  # the session's fixtures are left up
            runtestprotocol(item, nextitem=item.session.items[0])
            return True
        """,
    )
    inner.write("test_two.py", "def test_a(): pass\ndef test_b(): pass\n")
    run = inner.workpool("-p", "no:cacheprovider", "-v", workers=1)
    assert run.counts == {"passed": 2, "errors": 1}, run.text
    assert "Worker gw0 exited with code 7 while its session ended" in run.text
    assert "words at the end" in run.text
    assert run.status == pytest.ExitCode.TESTS_FAILED


def test_output_that_was_held_back_at_a_crash(inner: Inner) -> None:
    """What a worker printed before its session began is among its last words if it never said that it began."""
    inner.write(
        "conftest.py",
        """
        import os
        def pytest_sessionstart(session):
            if hasattr(session.config, "workerinput"):
                os.write(1, f"early output of {os.getpid()}\\n".encode())
                other = os.open(os.devnull, os.O_WRONLY)
                os.dup2(other, 1)
                os.close(other)
        """,
    )
    inner.write(
        "test_one.py",
        "import os\nfrom noting import note\ndef test_one(): note('dies'); os._exit(3)\n",
    )
    run = inner.workpool("-p", "no:cacheprovider", "-s", workers=1)
    assert run.counts == {"failed": 1}, run.text
    [died] = run.notes
    _, _, last_words = run.text.partition("Last output of the worker")
    assert f"early output of {died.pid}" in last_words
