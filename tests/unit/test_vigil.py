"""The vigil before a sleep, with a poll that says what the test wants."""

from __future__ import annotations

import os
from itertools import pairwise
from typing import Any

import pytest

from workpool._system.vigil import Vigil

EVENT = [(3, 1)]


class Poll:
    """A poll to which something comes at the look of that number, or never."""

    def __init__(self) -> None:
        self.looks = 0
        self.comes_at: int | None = None

    def poll(self, timeout: int) -> list[tuple[int, int]]:
        assert timeout == 0, "a vigil does not sleep"
        self.looks += 1
        return EVENT if self.looks == self.comes_at else []


@pytest.fixture
def poll(monkeypatch: pytest.MonkeyPatch) -> Poll:
    """Return a poll, on a machine of two CPUs whose clock goes on by ten microseconds with each look."""
    time = iter(range(0, 10**12, 10_000))
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1})
    monkeypatch.setattr("workpool._system.vigil._clock", lambda: next(time))
    return Poll()


def vigil(poll: Any, processes: int = 2) -> Vigil:
    return Vigil(poll, processes)


def test_what_comes_during_the_vigil_is_returned(poll: Poll) -> None:
    """And the next sleep has a vigil again."""
    watch = vigil(poll)
    for _ in range(3):
        poll.comes_at = poll.looks + 3
        assert watch.look() == EVENT
        assert poll.looks == poll.comes_at


def test_a_vigil_in_vain_ends_and_costs_the_next_ones(poll: Poll) -> None:
    """One sleep goes without after the first, three after the second, in the end 64."""
    watch = vigil(poll)
    kept = []
    for number in range(400):
        before = poll.looks
        assert watch.look() == []
        if poll.looks > before:
            kept.append(number)
    between = [after - before - 1 for before, after in pairwise(kept)]
    assert between[:4] == [1, 3, 7, 15]
    assert between[-1] == 64


def test_none_is_kept_where_there_are_too_few_cpus(poll: Poll) -> None:
    """It would keep the CPU from whoever is waited for."""
    assert vigil(poll, processes=3).look() == []
    assert not poll.looks


def test_who_loses_the_cpu_in_between_gives_up(poll: Poll, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that takes long means that somebody has run meanwhile who needs the CPU."""
    time = iter(range(0, 10**12, 61_000))
    monkeypatch.setattr("workpool._system.vigil._clock", lambda: next(time))
    assert vigil(poll).look() == []
    assert poll.looks == 1


def test_who_wakes_for_a_moment_does_not_end_the_vigil(
    poll: Poll, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that hands on a task leaves the CPU at once; so may what is waited for come."""
    times = iter([0, 1_000, 41_000, 42_000, 43_000])
    monkeypatch.setattr("workpool._system.vigil._clock", lambda: next(times))
    poll.comes_at = 4
    assert vigil(poll).look() == EVENT
