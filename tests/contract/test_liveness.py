"""Liveness: whatever a worker is doing, it goes when its parent goes, and not before."""

from __future__ import annotations

import os
import signal

import pytest

from tests import children
from tests.contract.programs import has_ended_within, running

SECONDS_TO_GO = 1.0
OCCUPATIONS = [
    "backtrack_for_ever",
    "read_holding_gil",
    "block_signals",
    "wait_for_ever",
    "busy_with_a_thread",
]


@pytest.mark.parametrize("occupation", OCCUPATIONS)
def test_a_guarded_process_goes_with_the_other_end(occupation: str) -> None:
    """The kernel ends it within a second, in C calls that hold the GIL and with blocked signals."""
    read_end, write_end = os.pipe()
    with running(children.guarded, read_end, occupation, fds=[read_end]) as worker:
        os.close(read_end)
        assert worker.line() == "ready"
        assert worker.ending(0.05) is None
        os.close(write_end)
        assert worker.ending(SECONDS_TO_GO) == -signal.SIGKILL


def test_a_relaxed_process_sees_the_end_and_outlives_it() -> None:
    """It can end in good order; guarding itself again, it is told instead of killed."""
    read_end, write_end = os.pipe()
    with running(children.relaxed, read_end, fds=[read_end]) as worker:
        os.close(read_end)
        assert worker.line() == "ready"
        os.close(write_end)
        assert worker.line() == "gone"
        assert worker.ending() == 0


def test_a_relaxed_process_that_somebody_has_stopped_sees_the_end_too() -> None:
    """The kernel lets it go on for that."""
    read_end, write_end = os.pipe()
    with running(children.relaxed, read_end, fds=[read_end]) as worker:
        os.close(read_end)
        assert worker.line() == "ready"
        os.kill(worker.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, worker.pid, os.WSTOPPED)
        os.close(write_end)
        assert worker.line() == "gone"
        assert worker.ending() == 0


@pytest.mark.parametrize("entrypoint", ["call", "call_async"])
@pytest.mark.parametrize("occupation", [None, *OCCUPATIONS])
def test_workers_go_when_their_parent_is_killed(entrypoint: str, occupation: str | None) -> None:
    """SIGKILL of the parent ends every worker, idle or occupied, within a second."""
    with running(children.run_a_pool, entrypoint, occupation) as parent:
        pids = [int(word) for word in parent.line().split()]
        assert parent.line() == "ready"
        parent.kill()
        assert len(pids) == 2
        assert has_ended_within(pids, SECONDS_TO_GO)
