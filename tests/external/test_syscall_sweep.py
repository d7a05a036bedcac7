"""A worker that is killed at a system call, any of those it makes, hangs nothing and loses nothing.

The whole of it is `python -m benchmarks.syscall_sweep`; this is each call that a worker makes for the
pool's sake, and some of the others, once.
"""

from __future__ import annotations

import zlib

import pytest

from benchmarks.syscall_sweep.sweep import count_calls, disturb
from benchmarks.syscall_sweep.tracing import Disturbance

PROTOCOL = {
    "fcntl",
    "ftruncate",
    "memfd_create",
    "mmap",
    "poll",
    "pwrite64",
    "readv",
    "recvmsg",
    "sendmsg",
    "write",
}
"""Calls that the worker makes for the sake of the pool."""


ASYNC_PROTOCOL = PROTOCOL - {"poll"} | {"epoll_ctl", "epoll_wait"}


def selection(kind: str) -> list[tuple[str, int]]:
    """Return calls, each with one of the times it is made; the same each time it is made as often."""
    counts = count_calls(kind)
    names = sorted(PROTOCOL if kind == "sync" else ASYNC_PROTOCOL)
    assert counts.keys() >= set(names)
    if kind == "sync":
        names += sorted(counts.keys() - PROTOCOL)[::3]
    return [(name, 1 + zlib.crc32(name.encode()) % counts[name]) for name in names]


@pytest.mark.deadline(120)
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_kill_at_calls_of_every_kind(kind: str) -> None:
    """No hang, every task ends once, nothing is left; and most of the kills came to pass."""
    reached = 0
    calls = selection(kind)
    for name, time in calls:
        run = disturb(kind, Disturbance(name, time, "signal=KILL"))
        assert run.violations == [], f"killed at {name}, time {time}"
        reached += run.was_reached
    assert reached > len(calls) / 2


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("memfd_create", "EMFILE"),
        ("ftruncate", "ENOMEM"),
        ("pwrite64", "ENOSPC"),
        ("sendmsg", "ENOBUFS"),
        ("recvmsg", "ENOMEM"),
        ("readv", "ENOMEM"),
        ("write", "ENOMEM"),
        ("poll", "ENOMEM"),
    ],
)
def test_a_call_that_fails(call: str, error: str) -> None:
    """An error of the system in a worker fails tasks of that worker at most; none is run twice."""
    run = disturb("sync", Disturbance(call, 2, f"error={error}"))
    assert run.violations == []
    assert run.was_reached
