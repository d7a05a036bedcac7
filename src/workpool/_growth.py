"""How many workers a pool has: started as tasks need them, replaced when they end, retired when idle."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workpool._engine import Engine

_RESTART_PAUSE = 10.0
"""Seconds a pool that has workers does not try to start more after one could not be started."""


class Growth:
    """Starts and retires the workers of an engine, within its options."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._loop = engine.loop
        self._options = engine.options
        self._fleet = engine.fleet
        self._no_start_before = 0.0
        if engine.options.idle_timeout is not None:
            self._watch_idleness()

    @property
    def wanted(self) -> bool:
        """Whether there should be more workers, if there may be."""
        live = self._fleet.live
        needed = self._engine.outcomes.pending > live * self._options.tasks_per_worker
        if not needed and live >= self._options.min_workers:
            return False
        in_need = needed and not self._fleet.any_ready
        return in_need or self._loop.time() >= self._no_start_before

    def grow(self) -> None:
        """Start as many workers as are wanted and may be."""
        while not self._engine.is_closed and self.wanted:
            if self._fleet.live >= self._options.max_workers or not self._start_one():
                return

    def resize_up_to(self, count: int) -> None:
        """Start workers until there are `count` of them, or as many as there may be."""
        while self._fleet.live < min(count, self._options.max_workers):
            if not self._start_one():
                return

    def replace(self, slot: int, *, crashed: bool, idle: bool) -> None:
        """Start a worker in the place of one that has ended, if there is reason to.

        One that crashed without having done anything, while nobody waits, is not replaced at once:
        it would be for ever.
        """
        pinned = bool(self._engine.scheduler.slots[slot].pinned)
        due = self._fleet.asked_restarts.due(slot)
        if crashed and idle and not pinned and not due:
            self.pause()
        elif crashed or pinned or due:
            self._fleet.restarts += 1
            self._fleet.start(slot)
        self.grow()

    def pause(self) -> None:
        """Start no more workers for a while, unless none is ready; then as many as are needed."""
        self._no_start_before = until = self._loop.time() + _RESTART_PAUSE
        self._loop.call_at(until, self._start_again, until)

    def _start_one(self) -> bool:
        slot = self._fleet.empty_slot()
        return slot is not None and self._fleet.start(slot)

    def _start_again(self, pause_end: float) -> None:
        if not self._engine.is_closed and self._no_start_before == pause_end:
            self._no_start_before = 0.0  # a timer may be early by a hair
            self.grow()
            self._engine.dispatcher.flush()

    def _watch_idleness(self) -> None:
        """Retire workers that have slept for longer than the idle timeout, down to the minimum."""
        limit = self._options.idle_timeout
        if limit is None or self._engine.is_closed:
            return
        now = time.perf_counter_ns()
        for worker in self._fleet.present():
            since = self._fleet.idle_since(worker)
            slept = (now - since) / 1e9 if since else 0.0
            if slept > limit and self._fleet.live > self._options.min_workers:
                worker.exit_reason = worker.exit_reason or f"idle for {limit:g} seconds"
                self._fleet.retire(worker)
        self._loop.call_later(min(1.0, limit / 4), self._watch_idleness)
