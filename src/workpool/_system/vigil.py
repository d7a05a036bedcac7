"""Staying awake for some microseconds, in case what is waited for comes at once."""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import select

SHORT = 50_000
"""Nanoseconds. To be woken from a sleep takes about as long, and on an idle CPU longer."""

LONG = 150_000
"""Nanoseconds: of a vigil when the last wait was no longer than this. Who awaits one task after the other in
a thread that is not the event loop's sends the next within that, when all of them are awake."""

_PREEMPTED = 60_000
"""Nanoseconds one look takes at least if somebody has had the CPU meanwhile who makes full use of it: the kernel
gives out at least ten times as much. A thread that wakes, hands on a task and sleeps takes 20 to 40: to end the
vigil for that one would leave all who share in a round trip asleep, on two CPUs that both have to be woken."""

_MOST_SKIPPED = 64

_clock = time.perf_counter_ns


class Vigil:
    """Looks for a moment before a process sleeps, as long as that pays.

    Each vigil in vain, or on a CPU that others want, doubles the number of sleeps that go without one,
    so that who waits for longer, and who is on a busy machine, loses nothing. Where there are fewer
    CPUs than `processes` that may be awake for the same work, none is kept.
    """

    def __init__(self, poll: select.poll, processes: int) -> None:
        self._poll = poll
        self._pays = processes <= len(os.sched_getaffinity(0))
        self._length = SHORT
        self._skipped = 0
        self._to_skip = 0
        self._cpu_is_wanted = False

    def wait(self) -> list[tuple[int, int]]:
        """Return what has come to the poll's descriptors; sleep after a while, until there is something."""
        began = _clock()
        events = self.look()
        if events or not self._pays:
            return events or self._poll.poll()
        events = self._poll.poll()
        if _clock() - began > LONG:
            self._length = SHORT
        elif not self._cpu_is_wanted:
            self._length, self._to_skip = LONG, 0  # it would have paid
        return events

    def look(self) -> list[tuple[int, int]]:
        """Return what has come to the poll's descriptors, or nothing after a while."""
        if not self._pays:
            return []
        if self._skipped < self._to_skip:
            self._skipped += 1
            return []
        self._skipped = 0
        self._cpu_is_wanted = False
        poll, give_way, now = self._poll.poll, os.sched_yield, _clock()
        end = now + self._length
        while now < end:
            events = poll(0)
            if events:
                self._to_skip = 0
                return events
            give_way()
            last, now = now, _clock()
            if now - last > _PREEMPTED:
                self._cpu_is_wanted = True
                break
        self._to_skip = min(2 * self._to_skip + 1, _MOST_SKIPPED)
        return []
