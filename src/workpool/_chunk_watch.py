"""Looks after chunks that run.

Takes from one that is stuck what it holds back, and finds out how far one had come whose worker died.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from workpool._interrupts import SETTLE_SECONDS
from workpool._system.status_page import IDLE, INTERRUPTION, KEPT, REVOKED, STRETCH
from workpool._worker.stretches import copy_of_tray, is_of, kept_results, unpack_stretch

if TYPE_CHECKING:
    from workpool._engine import Engine
    from workpool._worker_process import WorkerProcess

LOOK_SECONDS = 0.004
OVERDUE_SECONDS = 0.008
"""A chunk that has run for so long, twice what it was made for, while another worker is idle, is
revoked. Together with a look and the settling that makes 14 ms until its rest is on its way."""


class ChunkWatch:
    """Watches the chunks of a pool while there are any; an idle pool has no timer."""

    def __init__(self, engine: Engine) -> None:
        self.by_items = False
        """Whether the workers' entrypoint takes no chunks."""
        self._engine = engine
        self._watched: dict[int, Any] = {}
        self._ticking = False

    def watch(self, piece: Any) -> None:
        """Look after a piece from now on, if it has several items."""
        if len(piece.items) < 2 or piece.done() or self._engine.is_closed:
            return
        self._watched[piece.id] = piece
        if not self._ticking:
            self._ticking = True
            self._engine.loop.call_later(LOOK_SECONDS, self._look)

    def forget(self, piece: Any) -> None:
        """Note that a piece has ended."""
        self._watched.pop(piece.id, None)

    def worker_died(self, slot: int) -> None:
        """Note which items a dead worker was at, before its record is cleared."""
        page = self._engine.dispatcher.page
        for attempt, begun in page.held(slot):
            piece = self._piece(attempt) if begun else None
            if piece is not None:
                kept = page.words[page.field(slot, KEPT)]
                values = kept_results(copy_of_tray(kept, attempt, page.tray(slot)))
                word = page.words[page.field(slot, STRETCH)]
                # Of no stretch of it: it died when it had not come to its first item.
                first, end = unpack_stretch(word, attempt) or (0, 1)
                piece.argument.suspects = min(max(first, len(values)), end - 1), end
                self._hand_out(attempt, piece, values)

    def _look(self) -> None:
        engine = self._engine
        for number, piece in list(self._watched.items()):
            if piece.done():
                del self._watched[number]  # cancelled
        self._ticking = bool(self._watched) and not engine.is_closed
        if not self._ticking:
            return
        engine.loop.call_later(LOOK_SECONDS, self._look)
        words, field = engine.dispatcher.page.words, engine.dispatcher.page.field
        workers = [worker for worker in engine.fleet.present() if not worker.is_async]
        if any(words[field(worker.slot, IDLE)] for worker in workers):
            for worker in workers:
                self._look_at(worker)

    def _look_at(self, worker: WorkerProcess) -> None:
        page = self._engine.dispatcher.page
        now = time.perf_counter_ns()
        for attempt, begun in page.held(worker.slot):
            if not begun or now - begun < OVERDUE_SECONDS * 1e9:
                continue
            piece = self._piece(attempt)
            if piece is not None and not piece.revoked:
                piece.revoked = True
                page.words[page.field(worker.slot, REVOKED)] = attempt
                worker.process.send_signal(INTERRUPTION)  # which cuts the stretch
                self._engine.loop.call_later(SETTLE_SECONDS, self._take_rest, worker, attempt)

    def _take_rest(self, worker: WorkerProcess, attempt: int) -> None:
        """Let others run what a stuck worker will not begin; look again until the chunk has ended.

        The signal may be dealt with late: then the stretch is cut after this was here for the first time.
        """
        piece = self._running(worker, attempt)
        if piece is None:
            return
        page = self._engine.dispatcher.page
        stretch = unpack_stretch(page.words[page.field(worker.slot, STRETCH)], attempt)
        if stretch is None:
            return  # it has not come to its first item, and will hand back everything
        piece.bulk.take_rest(piece, stretch[1])
        # Later: what is on the tray was there before the word that says so, but other CPUs may
        # see that the other way round.
        kept = page.words[page.field(worker.slot, KEPT)]
        call_later = self._engine.loop.call_later
        call_later(SETTLE_SECONDS, self._take_kept, worker, attempt, kept)
        call_later(LOOK_SECONDS, self._take_rest, worker, attempt)

    def _take_kept(self, worker: WorkerProcess, attempt: int, kept: int) -> None:
        """Hand out what a stuck worker had done before."""
        piece = self._running(worker, attempt)
        if piece is None:
            return
        page = self._engine.dispatcher.page
        copy = copy_of_tray(kept, attempt, page.tray(worker.slot))
        # Looked at once more after the copy, which may be of another chunk otherwise.
        if is_of(page.words[page.field(worker.slot, KEPT)], attempt):
            self._hand_out(attempt, piece, kept_results(copy))

    @staticmethod
    def _hand_out(attempt: int, piece: Any, values: list[Any]) -> None:
        if len(values) > piece.skip and not piece.done():
            piece.bulk.hand_out(piece, attempt, values)

    def _running(self, worker: WorkerProcess, attempt: int) -> Any:
        """Return the piece that a worker is at with this attempt, or None."""
        engine = self._engine
        if engine.is_closed or engine.fleet.workers[worker.slot] is not worker:
            return None
        piece = self._piece(attempt)
        return None if piece is None or piece.done() else piece

    def _piece(self, attempt: int) -> Any:
        """Return the piece of several items that has this attempt number, or None."""
        task: Any = self._engine.ledger.dispatched.get(attempt)
        return task if task is not None and task.id in self._watched else None
