"""The limit to a process's life: nothing that it does can put it off."""

from __future__ import annotations

import subprocess
import sys

import pytest

from workpool import _fleet
from workpool._worker import boot

LIMITED = """
import itertools, signal, time
from workpool._system.deadline import end_within
end_within(60)
end_within(0.1)
{occupation}
"""
OCCUPATIONS = [
    "sum(itertools.repeat(1, 1 << 40))",
    "signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals()); time.sleep(60)",
    "while True: pass",
]


@pytest.mark.parametrize("occupation", OCCUPATIONS)
def test_a_process_ends_when_its_time_is_up(occupation: str) -> None:
    """In a C call that holds the GIL, with all signals blocked, in a loop; and without a word."""
    command = [sys.executable, "-c", LIMITED.format(occupation=occupation)]
    ended = subprocess.run(command, capture_output=True, timeout=20)
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, b"", b"")


def test_a_worker_leaves_it_to_its_pool_to_end_it() -> None:
    """Its own limit is for the case that the pool is gone: the pool's comes first."""
    assert boot.LONGEST_EXIT > _fleet.EXIT_GRACE
