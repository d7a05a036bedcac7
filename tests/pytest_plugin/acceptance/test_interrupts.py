"""Ctrl-C ends a run soon, with a summary, and nothing is left of it."""

from __future__ import annotations

import os
import signal

import pytest

from tests.pytest_plugin.acceptance.inner import Inner, assert_same, wait_until

SUITE = """
    import threading
    import pytest
    from noting import note
    def test_done(): note("done")
    @pytest.mark.parametrize("n", range(5))
    def test_stuck(n):
        note("stuck")
        threading.Event().wait()
"""


@pytest.mark.parametrize("to_all", [False, True], ids=["controller", "group"])
def test_ctrl_c(inner: Inner, to_all: bool) -> None:
    """One SIGINT, to the controller or to the whole group, as a terminal sends it, is enough."""
    inner.write("test_stuck.py", SUITE)
    with inner.begun() as process:
        inner.wait_for("stuck", count=2)
        inner.wait_for("done")
        if to_all:
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.send_signal(signal.SIGINT)
        text, _ = process.communicate(timeout=30)
        assert process.returncode == pytest.ExitCode.INTERRUPTED, text
        wait_until(lambda: not inner.processes())
    assert "KeyboardInterrupt" in text
    assert "1 passed" in text, text
    assert sum(note.words == ("stuck",) for note in inner.notes()) == 2, "more have begun"


def test_ctrl_c_while_tests_are_collected(inner: Inner) -> None:
    """It interrupts the workers as well, and ends the run as later."""
    inner.write(
        "test_stuck.py",
        """
        import os, threading
        from noting import note
        if "PYTEST_XDIST_WORKER" in os.environ:
            note("collecting")
            threading.Event().wait()
        """,
    )
    with inner.begun() as process:
        inner.wait_for("collecting", count=2)
        os.killpg(process.pid, signal.SIGINT)
        text, _ = process.communicate(timeout=30)
        assert process.returncode == pytest.ExitCode.INTERRUPTED, text
        wait_until(lambda: not inner.processes())
    assert "no tests ran" in text
    assert "Traceback" not in text


def test_a_controller_that_is_killed(inner: Inner) -> None:
    """When the controller is killed its workers end as well, though they are in a test."""
    inner.write("test_stuck.py", SUITE)
    with inner.begun() as process:
        inner.wait_for("stuck", count=2)
        process.kill()
        process.wait()
        wait_until(lambda: not inner.processes())


def test_a_test_about_the_signal(inner: Inner) -> None:
    """In a test SIGINT is what it is in a serial run, and what a test leaves of its handler the next one finds."""
    inner.write(
        "test_signal.py",
        """
        import _thread, asyncio, os, signal, time
        import pytest
        FOUND = signal.getsignal(signal.SIGINT)
        def test_raise_signal():
            with pytest.raises(KeyboardInterrupt): signal.raise_signal(signal.SIGINT)
        def test_kill():
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(5)
        def test_interrupt_main():
            with pytest.raises(KeyboardInterrupt):
                _thread.interrupt_main()
                time.sleep(5)
        def test_asyncio():
            async def main():
                try:
                    signal.raise_signal(signal.SIGINT)
                    await asyncio.sleep(5)
                except asyncio.CancelledError as error:
                    caught.append(error)
                    raise
            caught = []
            with pytest.raises(KeyboardInterrupt): asyncio.run(main())
            assert caught
        def test_handler():
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler is FOUND
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        def test_handler_that_was_left():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            os.kill(os.getpid(), signal.SIGINT)
        """,
    )
    serial, _ = assert_same(inner, options=("--workpool-scope=module",))
    assert serial.counts == {"passed": 6}


def test_a_test_that_interrupts_the_run(inner: Inner) -> None:
    """One that lets `KeyboardInterrupt` pass ends the run, with a summary of what is done."""
    inner.write(
        "test_signal.py",
        """
        import signal
        def test_done(): pass
        def test_interrupt(): signal.raise_signal(signal.SIGINT)
        def test_never(): assert False
        """,
    )
    serial, _ = assert_same(inner, options=("--workpool-scope=module",))
    assert (serial.status, serial.counts) == (pytest.ExitCode.INTERRUPTED, {"passed": 1})


def test_a_time_limit_needs_no_sigint(inner: Inner) -> None:
    """A test that ignores SIGINT, or has an event loop deal with it, ends all the same, and says where it was."""
    inner.write(
        "test_stuck.py",
        """
        import asyncio, signal, threading
        def test_ignoring():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            threading.Event().wait()  # ignoring
        def test_looping():
            asyncio.run(asyncio.Event().wait())  # looping
        def test_after(): pass
        """,
    )
    run = inner.workpool("--workpool-timeout=0.3")
    assert (run.status, run.counts) == (1, {"failed": 2, "passed": 1})
    for place in ("wait()  # ignoring", "wait())  # looping"):
        assert any(line.startswith(">") and place in line for line in run.lines)
