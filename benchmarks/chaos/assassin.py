"""The assassin: a process beside the pool that sends signals to its workers.

Run by `drive.py` as `python -m benchmarks.chaos.assassin`, with an `Order` as JSON on its standard
input. Prints as JSON the numbers of the shots it did not fire. Ends early when its standard input
is closed.
"""

from __future__ import annotations

import heapq
import json
import os
import select
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from benchmarks.chaos.ledger import HIT, LINE_BYTES, MISS, START, LedgerWriter, process_name
from benchmarks.chaos.reading import LETHAL, parse

_GLANCE_SECONDS = 0.0005
_MOST_EARLY_HITS = 2
"""In one slot, in a row, of workers that have not begun a task yet: the pool gives up on a slot whose
workers end five times before they are ready, as it should. That is a matter for other tests."""


class Order(NamedTuple):
    """Whom to shoot at, and when: `Shot`s as plain lists."""

    parent: int
    pool: str
    ledger: str
    shots: list[tuple[int, float, float, list[tuple[str, float]]]]


class Worker(NamedTuple):
    """A worker process."""

    slot: int
    process: str
    pidfd: int


class Assassin:
    """Fires the shots of an order."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._ledger = LedgerWriter(order.ledger)
        self._position = 0
        self._at_work: set[str] = set()
        self._doomed: set[str] = set()
        self._early_hits: Counter[int] = Counter()
        self._to_come: list[tuple[float, int, Worker, str]] = []
        self._count = 0

    def fire_all(self) -> list[int]:
        """Fire, each in its time; return the numbers of those for which there was no time."""
        waiting = list(range(len(self._order.shots)))
        while (waiting or self._to_come) and not self._is_called_back():
            self._follow_up(time.monotonic())
            if waiting and self._is_due(waiting[0]) and self._fire(waiting[0]):
                waiting.pop(0)
        self._follow_up(float("inf"))  # nobody stays stopped
        return waiting

    def _is_called_back(self) -> bool:
        return bool(select.select([0], [], [], _GLANCE_SECONDS)[0])

    def _is_due(self, number: int) -> bool:
        lines = Path(self._order.ledger).stat().st_size // LINE_BYTES
        return lines >= self._order.shots[number][0]

    def _fire(self, number: int) -> bool:
        """Choose a worker and hit it; return whether there was one."""
        _, pick, delay, signals = self._order.shots[number]
        time.sleep(delay)
        prey = self._prey()
        if not prey:
            return False
        worker = prey.pop(int(pick * len(prey)))
        for other in prey:
            os.close(other.pidfd)
        if not self._send(worker, signals[0][0], 0):
            os.close(worker.pidfd)
            return False
        when = time.monotonic()
        for name, pause in signals[1:]:
            when += pause
            self._count += 1
            heapq.heappush(self._to_come, (when, self._count, worker, name))
        if len(signals) == 1:
            os.close(worker.pidfd)
        if any(name in LETHAL for name, _ in signals):
            self._doomed.add(worker.process)
            self._early_hits[worker.slot] += worker.process not in self._at_work
        return True

    def _follow_up(self, now: float) -> None:
        while self._to_come and self._to_come[0][0] <= now:
            _, _, worker, name = heapq.heappop(self._to_come)
            self._send(worker, name, 1)
            if not any(later[2] is worker for later in self._to_come):
                os.close(worker.pidfd)

    def _send(self, worker: Worker, name: str, place: int) -> bool:
        """Send a signal; return whether the worker was still there."""
        self._ledger.write(HIT, place, name, worker.process)
        try:
            signal.pidfd_send_signal(worker.pidfd, signal.Signals[name])
        except ProcessLookupError:
            self._ledger.write(MISS, place, name, worker.process)
            return False
        return True

    def _prey(self) -> list[Worker]:
        """Return the workers that may be hit, by slot."""
        self._read_starts()
        return sorted(
            worker
            for worker in map(self._worker, _children(self._order.parent))
            if worker is not None
        )

    def _worker(self, pid: int) -> Worker | None:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]
            if self._order.pool not in words:
                return None
            process, slot = process_name(pid), int(words[words.index(self._order.pool) + 1])
            if process in self._doomed or not self._may_hit(slot, process):
                return None
            pidfd = os.pidfd_open(pid)
        except OSError:
            return None
        # Whoever has ended, or has been followed by another process of that id, is nobody's prey.
        if select.select([pidfd], [], [], 0)[0] or not _is_still(process, pid):
            os.close(pidfd)
            return None
        return Worker(slot, process, pidfd)

    def _may_hit(self, slot: int, process: str) -> bool:
        return process in self._at_work or self._early_hits[slot] < _MOST_EARLY_HITS

    def _read_starts(self) -> None:
        with Path(self._order.ledger).open("rb") as file:
            file.seek(self._position)
            data = file.read()
        self._position += len(data)
        for line in parse(data):
            if line.kind == START:
                self._at_work.add(line.process)
                self._early_hits[int(line.detail)] = 0


def _is_still(process: str, pid: int) -> bool:
    try:
        return process_name(pid) == process
    except OSError:
        return False


def _children(parent: int) -> list[int]:
    return [
        int(entry)
        for entry in os.listdir("/proc")
        if entry.isdecimal() and _parent_of(entry) == parent
    ]


def _parent_of(entry: str) -> int | None:
    try:
        return int(Path(f"/proc/{entry}/stat").read_bytes().rpartition(b")")[2].split()[1])
    except OSError:
        return None


def main() -> None:
    """Take an order, carry it out, say what was not done."""
    order = Order(*json.loads(sys.stdin.readline()))
    json.dump(Assassin(order).fire_all(), sys.stdout)


if __name__ == "__main__":
    main()
