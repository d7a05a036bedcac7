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
