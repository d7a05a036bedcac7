"""Ctrl-C ends a run soon, with a summary, and nothing is left of it."""

from __future__ import annotations

import os
import signal

import pytest

from tests.pytest_plugin.acceptance.inner import Inner, wait_until

SUITE = """
    import threading
    from noting import note
    def test_done(): note("done")
    def test_stuck_1():
        note("stuck")
        threading.Event().wait()
    def test_stuck_2():
        note("stuck")
        threading.Event().wait()
    def test_never(): note("never")
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
    assert not any(note.words == ("never",) for note in inner.notes())


def test_a_controller_that_is_killed(inner: Inner) -> None:
    """When the controller is killed its workers end as well, though they are in a test."""
    inner.write("test_stuck.py", SUITE)
    with inner.begun() as process:
        inner.wait_for("stuck", count=2)
        process.kill()
        process.wait()
        wait_until(lambda: not inner.processes())
