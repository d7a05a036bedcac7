"""Looks after batches that run: takes from one that is stuck what it holds back, and what a dead worker left."""

from __future__ import annotations

import pickle
import time
from io import BytesIO
from itertools import repeat
from typing import TYPE_CHECKING, Any

from workpool._batch import Batch
from workpool._frames import batch_attempt
from workpool._interrupts import SETTLE_SECONDS
from workpool._system.status_page import REVOKED, SHELF

if TYPE_CHECKING:
    from workpool._engine import Engine
    from workpool._worker_process import WorkerProcess

LOOK_SECONDS = 0.004
OVERDUE_SECONDS = 0.006
"""A batch that has run for so long, thirty times what it was made for, is revoked. Together with a look and
the settling that makes 12 ms until its rest is on its way."""


class BatchWatch:
    """Watches the batches of a pool while there are any; an idle pool has no timer.

    What a stuck worker will not begin can be told soundly: it writes which member it begins, then reads
    the revocation; the pool writes the revocation, and reads the member a long time after. So either
    the worker sees the revocation or the pool sees the member. As in `_interrupts.py`.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ticking = False

    def watch(self) -> None:
        """Note that a batch is on its way."""
        if not self._ticking:
            self._ticking = True
            self._engine.loop.call_later(LOOK_SECONDS, self._look)

    def worker_died(self, worker: WorkerProcess, held: list[tuple[int, int]]) -> None:
        """End what a dead worker's members had returned and not reported, before its record is cleared."""
        for attempt, begun in held:
            if begun:
                self._take_results(worker, attempt)

    def _look(self) -> None:
        engine = self._engine
        self._ticking = False
        if engine.is_closed:
            return
        dispatched = engine.ledger.dispatched.values()
        if any(isinstance(entry, Batch) and not entry.revoked for entry in dispatched):
            self.watch()
        now = time.perf_counter_ns()
        for worker in engine.fleet.present():
            for attempt, begun in engine.dispatcher.page.held(worker.slot):
                if begun and now - begun > OVERDUE_SECONDS * 1e9:
                    self._revoke(worker, batch_attempt(attempt)[0])

    def _revoke(self, worker: WorkerProcess, attempt: int) -> None:
        batch = self._batch(attempt)
        if batch is not None and not batch.revoked:
            batch.revoked = True
            page = self._engine.dispatcher.page
            page.words[page.field(worker.slot, REVOKED)] = attempt
            self._engine.loop.call_later(SETTLE_SECONDS, self._take_rest, worker, attempt, batch)

    def _take_rest(self, worker: WorkerProcess, attempt: int, batch: Batch) -> None:
        """Let others run what a stuck worker will not begin, and end what it has not reported."""
        engine = self._engine
        if (
            engine.is_closed
            or self._batch(attempt) is not batch  # it is over meanwhile
            or engine.fleet.workers[worker.slot] is not worker
        ):
            return
        for running, begun in engine.dispatcher.page.held(worker.slot):
            number, index = batch_attempt(running)
            if begun and number == attempt:
                engine.scheduler.put_back(batch.take_from(index + 1))
                self._take_results(worker, running)
                engine.dispatcher.flush()

    def _take_results(self, worker: WorkerProcess, running: int) -> None:
        """End the members of a batch whose results lie on the shelf, up to the one that runs."""
        engine = self._engine
        page = engine.dispatcher.page
        attempt, index = batch_attempt(running)
        batch = self._batch(attempt)
        number, first = batch_attempt(page.words[page.field(worker.slot, SHELF)])
        if batch is None or number != attempt or first >= index:
            return
        entries = BytesIO(page.shelf(worker.slot))
        if all(lane != running for lane, _ in page.held(worker.slot)):
            return  # it has gone on, and may have used the shelf for others
        values = [pickle.load(entries) for _ in range(first, index)]
        mean = repeat(engine.costs.mean)  # what each cost is with the worker
        engine.outcomes.members(worker, batch, attempt, first, values, mean)

    def _batch(self, attempt: int) -> Batch | None:
        """Return the batch that is under way with this attempt number, or None."""
        entry: Any = self._engine.ledger.dispatched.get(attempt)
        return entry if isinstance(entry, Batch) else None
