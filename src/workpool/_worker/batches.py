"""Runs batches: tiny tasks that have come as one.

Each member is a task of its own here too. Before it begins, its number goes into the worker's lane, and only then
are the marks read: whether it was cancelled, whether the pool has *revoked* what has not begun. A result goes
on the *shelf*, in shared memory, before the next member begins: a kill loses nothing that had ended. The
reports, for some dozens of members each, are for speed alone.
"""

from __future__ import annotations

import time
from types import CoroutineType

from workpool import _frames as frames
from workpool._quick import pickle
from workpool._serialization import PLAIN_TYPES
from workpool._system.status_page import CONDEMNED, INTERRUPT, REVOKED, SHELF, SHELF_BYTES
from workpool._worker.chunks import WorkDone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from workpool._worker.interrupts import Interruptible
    from workpool._worker.worker import Worker

_LONGEST_WAIT = 200_000
"""Nanoseconds a result stays on the shelf while the batch goes on."""

_MOST_ON_SHELF = 2048
"""Bytes on the shelf at which they are reported: with the costs that makes less than a report may hold."""

_LONGEST_ENTRY = 256
"""Bytes; larger results are reported by themselves."""

_REPORTED: tuple[bool, ...] = ()
_SKIPPED: tuple[bool, ...] = (True,)
"""Among the results, instead of one: the member's outcome was reported by itself; it was cancelled and not begun."""

_REPORTED_ENTRY, _SKIPPED_ENTRY = pickle.dumps(_REPORTED, 5), pickle.dumps(_SKIPPED, 5)

_UNREADABLE = -1
"""Reported instead of how many have been begun. The pool sends each by itself then."""

_NONE = pickle.dumps(None, 5)

_clock = time.perf_counter_ns
_loads, _dumps = pickle.loads, pickle.dumps
assert _MOST_ON_SHELF + _LONGEST_ENTRY <= SHELF_BYTES


class BatchRunner:
    """Runs batches in a worker with a synchronous entrypoint that wants nothing but the argument."""

    def __init__(
        self,
        worker: Worker,
        call: Callable[[Any], Any],
        interruptible: Interruptible,
        wait_while_condemned: Callable[[int], None],
    ) -> None:
        slot, page = worker.config.slot, worker.page
        self._worker = worker
        self._call = call
        self._interruptible = interruptible
        self._wait_while_condemned = wait_while_condemned
        self._shelf = page.shelf(slot)
        self._attempt_words = [page.attempt_index(slot, lane) for lane in range(page.lanes)]
        self._shelf_word = page.field(slot, SHELF)
        self._revoked_word = page.field(slot, REVOKED)
        self._interrupt_word = page.field(slot, INTERRUPT)
        self._condemned_word = page.field(slot, CONDEMNED)

    def run(self, lane: int, attempt: int, offset: int, length: int) -> None:
        """Run the members of a batch. Always raises `WorkDone`, with the last part of the report."""
        arena = self._worker.arena
        count = int.from_bytes(arena[offset + 1 : offset + 3], "little")
        flags = arena[offset + 3 : offset + 3 + count]
        try:
            arguments = _loads(arena[offset + 3 + count : offset + length])
        except Exception:  # noqa: BLE001 - one of them is to blame, and its error is its own
            arguments, count = [], _UNREADABLE
        raise WorkDone(*self._run_members(lane, attempt, arguments, flags, count))

    def _run_members(  # noqa: C901 - see below
        self, lane: int, attempt: int, arguments: list[Any], flags: memoryview, count: int
    ) -> tuple[float, int, bytes, tuple[()]]:
        # As hot as `_SyncLoop._run_from`, and as long for the same reason.
        words, shelf, interruptible, call = (
            self._worker.words,
            self._shelf,
            self._interruptible,
            self._call,
        )
        attempt_word, shelf_word = self._attempt_words[lane], self._shelf_word
        revoked_word, interrupt_word = self._revoked_word, self._interrupt_word
        condemned_word, liveness = self._condemned_word, self._worker.liveness
        clock, dumps = _clock, _dumps
        first, used = 0, 0
        words[shelf_word] = item = frames.item_attempt(attempt, 0)
        values: list[Any] = []
        costs: list[float] = []
        began = flushed = last = clock()
        for index, argument in enumerate(arguments):
            words[attempt_word] = item
            # fault point: member announced
            if words[revoked_word] == attempt:
                count = index
                break
            if flags[index]:
                value, entry = _SKIPPED, _SKIPPED_ENTRY
            else:
                try:
                    interruptible.attempt = item
                    try:
                        if words[interrupt_word] == item:
                            interruptible.begin(item)
                        # fault point: before its call
                        value = call(argument)
                        # fault point: after its call
                        if liveness.forked:
                            raise SystemExit(0)  # a child that the member forked ends with it
                        if value.__class__ is CoroutineType:
                            value = self._worker.caller.finish(value)
                    finally:
                        interruptible.attempt = 0
                except BaseException as error:  # it belongs to the member
                    if liveness.forked:
                        raise
                    self._worker.report(
                        item, (clock() - last) / 1e9, self._worker.pack_error(error)
                    )
                    value, entry = _REPORTED, _REPORTED_ENTRY
                else:
                    if value is None:
                        entry = _NONE
                    else:
                        plain = value.__class__ in PLAIN_TYPES
                        entry = dumps(value, 5) if plain else _REPORTED_ENTRY
                        if not plain or len(entry) > _LONGEST_ENTRY:
                            self._report(item, (clock() - last) / 1e9, value)
                            value, entry = _REPORTED, _REPORTED_ENTRY
            after = used + len(entry)
            shelf[used:after] = entry
            # fault point: on the shelf
            used = after
            now = clock()
            values.append(value)
            costs.append((now - last) / 1e9)
            last = now
            if words[condemned_word]:
                self._wait_while_condemned(item)
            item += frames.ITEM_STEP
            if used > _MOST_ON_SHELF or now - flushed > _LONGEST_WAIT:
                part = _dumps((first, values, costs, -1), 5)
                self._worker.reporter.send(frames.PART, attempt, part)
                # fault point: part reported
                first, used, flushed, values, costs = index + 1, 0, now, [], []
                words[shelf_word] = item
        return (last - began) / 1e9, frames.LAST_PART, _dumps((first, values, costs, count), 5), ()

    def _report(self, item: int, cost: float, value: Any) -> None:
        """Report a member's result by itself."""
        try:
            outcome = self._worker.pack_result(value)
        except BaseException as error:  # noqa: BLE001 - it belongs to the member
            outcome = self._worker.pack_error(error)
        self._worker.report(item, cost, outcome)
