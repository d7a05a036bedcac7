"""Items of a `map` that travel together: what they are, and how a worker runs them.

A chunk is one task. Its items are run in C, in *stretches*: before each the worker writes into the status
page how far it will come, and then looks whether the pool has *revoked* the chunk. What it has not begun then
it hands back. A pool that finds a chunk stuck while another worker is idle revokes it, lets that settle, and
then reads how far the worker will come: what lies behind is safe to be run elsewhere, because either
the worker saw the revocation or the pool sees the stretch. (The argument is that of `_interrupts.py`: each side
writes and then reads, and the pool waits in between for longer than a store stays in a CPU's buffer.)

The results of a stretch are put on the worker's *tray*, in shared memory, before the next begins. So a pool whose
chunk is stuck, or whose worker has died, has the results of what had been run before. (Otherwise they come
all together in the report; they are pickled twice, which is little against running the items.)
"""

from __future__ import annotations

import os
import time
from itertools import islice, starmap
from types import CoroutineType

from workpool._quick import pickle
from workpool._serialization import FOREIGN_ERRORS, OUT_OF_BAND_BYTES, brief
from workpool._system.status_page import INTERRUPT, KEPT, REVOKED, STRETCH, TRAY_BYTES
from workpool.errors import SerializationError, TaskCancelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from workpool._worker.worker import Worker

    Part = list[Any] | bytes

_ATTEMPT_BITS = 32
_POSITION_BITS = 16
_POSITION_MASK = (1 << _POSITION_BITS) - 1

_SHORT_NS = 15_000
_LONG_NS = 60_000
"""Nanoseconds a stretch is to last at least, and at most: what a look at the status page costs is lost in the
one, and what a stuck item holds back is not much more than the other."""

_LONGEST_STRETCH = 256  # items
_LENGTH_BYTES = 4

_BRIEFLY = 32  # characters of an item in an error

_clock = time.perf_counter_ns


class Chunk:
    """Items that travel as one task, to be handed one by one to the entrypoint, or to a function of their own."""

    __slots__ = ("function", "goes_on", "items", "spread", "suspects")

    def __init__(
        self,
        items: list[Any] | tuple[Any, ...] | range,
        function: Callable[..., Any] | None = None,
        *,
        spread: bool = False,
        goes_on: bool = False,
    ) -> None:
        self.items = items
        self.function = function
        self.spread = spread
        """Whether an item is a tuple of arguments."""
        self.goes_on = goes_on
        """Whether those behind an item that failed are run all the same."""
        self.suspects: tuple[int, int] | None = None
        """Which of them a worker was at when it died."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _chunk, (self.items, self.function, self.spread, self.goes_on)

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        first, end = self.suspects or (0, len(self.items))
        text = f"of {len(self.items)} items sent together: {brief(self.items[first], _BRIEFLY)}"
        if end - first == 1:
            return f"one {text}"
        return f"one of {end - first} {text} to {brief(self.items[end - 1], _BRIEFLY)}"


def _chunk(items: Any, function: Callable[..., Any] | None, spread: bool, goes_on: bool) -> Chunk:
    return Chunk(items, function, spread=spread, goes_on=goes_on)


class WorkDone(Exception):
    """What came as one task, a chunk or a batch, has been run: seconds, and a packed outcome."""


def pack_stretch(attempt: int, first: int, end: int) -> int:
    """Return the word that says which items of a chunk are being run."""
    tag = attempt & ((1 << _ATTEMPT_BITS) - 1)
    return tag << _ATTEMPT_BITS | first << _POSITION_BITS | end


def unpack_stretch(word: int, attempt: int) -> tuple[int, int] | None:
    """Return the first item of a stretch and the end of it; None if it is of another attempt."""
    if word >> _ATTEMPT_BITS != attempt & ((1 << _ATTEMPT_BITS) - 1):
        return None
    return word >> _POSITION_BITS & _POSITION_MASK, word & _POSITION_MASK


def pack_kept(attempt: int, used: int) -> int:
    """Return the word that says how many bytes of a chunk's results are on the tray."""
    return (attempt & ((1 << _ATTEMPT_BITS) - 1)) << _ATTEMPT_BITS | used


def kept_results(word: int, attempt: int, tray: memoryview) -> list[Any]:
    """Return the results on a tray; none if they are of another attempt, or cannot be unpickled here."""
    values: list[Any] = []
    end = word & ((1 << _ATTEMPT_BITS) - 1)
    if word >> _ATTEMPT_BITS != attempt & ((1 << _ATTEMPT_BITS) - 1):
        return values
    position = 0
    try:
        while position < end:
            length = int.from_bytes(tray[position : position + _LENGTH_BYTES], "little")
            position += _LENGTH_BYTES + length
            values += pickle.loads(tray[position - length : position])
    except FOREIGN_ERRORS:
        return []
    return values


NOT_TAKEN: tuple[list[Any], int] = ([], 0)
"""The value of a chunk that is handed back as it came: its items are to be tasks of their own."""


def _if_small(buffer: pickle.PickleBuffer) -> bool:
    """Have a buffer pickled in band; refuse what would fill the tray, before it is copied."""
    if buffer.raw().nbytes > OUT_OF_BAND_BYTES:
        raise BufferError
    return True


def _next_step(step: int, lasted: int) -> int:
    """Return how many items the next stretch is to have, after one that lasted so many nanoseconds."""
    if lasted < _SHORT_NS:
        return min(step * 2, _LONGEST_STRETCH)
    return max(1, step // 4) if lasted > _LONG_NS else step


class ChunkRunner:
    """Runs chunks in a worker with a synchronous entrypoint."""

    def __init__(self, worker: Worker, call: Callable[[Any], Any], *, by_items: bool) -> None:
        self._worker = worker
        self._call = call
        self._by_items = by_items
        slot, page = worker.config.slot, worker.page
        self._words = worker.words
        self._stretch_word = page.field(slot, STRETCH)
        self._revoked_word = page.field(slot, REVOKED)
        self._interrupt_word = page.field(slot, INTERRUPT)
        self._kept_word = page.field(slot, KEPT)
        self._tray = page.tray(slot)
        self._used = 0
        self._step = 1
        self._iterator: Iterator[Any] = iter(())
        self._watches_forks = False
        self._nothing = 0, b""

    def run(self, attempt: int, chunk: Chunk) -> None:
        """Run a chunk's items. Always raises `WorkDone`, or what ends the whole of it."""
        if self._by_items:
            self._worker.count_begun(-1)
            raise WorkDone(0.0, *self._worker.pack_result(NOT_TAKEN))
        if not self._watches_forks:
            self._watch_forks()
        start = _clock()
        parts, begun = self._run_items(attempt, chunk)
        cost = (_clock() - start) / 1e9
        self._worker.count_begun(begun - 1)  # the task itself is counted as any is
        raise WorkDone(cost, *self._pack(parts, begun, len(chunk)))

    def _run_items(self, attempt: int, chunk: Chunk) -> tuple[list[Part], int]:
        """Return the results and errors (packed) of the items that were begun, and how many these are."""
        most = min(len(chunk), self._worker.tasks_left)
        words, step, position = self._words, self._step, 0
        iterator = self._iterator = iter(chunk.items)
        function = self._call if chunk.function is None else chunk.function
        apply: Callable[..., Iterator[Any]] = starmap if chunk.spread else map
        values: list[Any] = []
        parts: list[Part] = [values]
        words[self._kept_word] = pack_kept(attempt, 0)
        self._used, keeps = 0, True
        now = _clock()
        while position < most:
            end = min(position + step, most)
            words[self._stretch_word] = pack_stretch(attempt, position, end)
            if words[self._revoked_word] == attempt:
                break
            before = len(values)
            stretch = apply(function, islice(iterator, end - position))
            error = self._run_stretch(attempt, values, stretch, end - position)
            position += len(values) - before
            keeps = (
                keeps and error is None and position < most and self._keep(attempt, values[before:])
            )
            if len(values) > before and values[before].__class__ is CoroutineType:
                step = 1  # until here they were made, and are run only now
                parts[-1:] = self._settled(values)
                values = self._open_part(parts)
            if error is not None:
                parts.append(self._worker.pack_error(error)[1])
                values = self._open_part(parts)
                position += 1
                del error
                if not chunk.goes_on:
                    break
            last, now = now, _clock()
            step = _next_step(step, now - last)
        self._step = max(1, step // 2)
        self._iterator = iter(())
        return [part for part in parts if part], position

    def _run_stretch(
        self, attempt: int, values: list[Any], results: Iterator[Any], count: int
    ) -> BaseException | None:
        """Append the results of some items; return what one of them raised, which is the last begun then."""
        count += len(values)
        error: BaseException | None = None
        try:
            values.extend(results)
        except BaseException as raised:  # noqa: BLE001 - it belongs to the item
            error = raised
        if self._worker.liveness.forked:
            raise SystemExit(0) if error is None else error
        if isinstance(error, TaskCancelled) and self._words[self._interrupt_word] == attempt:
            raise error  # meant for the task that this chunk is
        if error is None and len(values) < count:
            return StopIteration("(what it held is lost)")  # which ended the stretch
        return error

    def _keep(self, attempt: int, values: list[Any]) -> bool:
        """Put the results of a stretch on the tray; return False if that cannot be done."""
        try:
            data = pickle.dumps(values, 5, buffer_callback=_if_small)
        except TaskCancelled:
            raise
        except FOREIGN_ERRORS:
            return False
        end = self._used + _LENGTH_BYTES + len(data)
        if end > TRAY_BYTES:
            return False
        self._tray[self._used : end] = len(data).to_bytes(_LENGTH_BYTES, "little") + data
        self._words[self._kept_word] = pack_kept(attempt, end)
        self._used = end
        return True

    @staticmethod
    def _open_part(parts: list[Part]) -> list[Any]:
        values: list[Any] = []
        parts.append(values)
        return values

    def _settled(self, values: list[Any], *, pickle: bool = False) -> list[Part]:
        """Run what are coroutines among values to their ends; with `pickle` find what cannot be pickled."""
        parts: list[Part] = []
        settled = self._open_part(parts)
        for value in values:
            try:
                if value.__class__ is CoroutineType:
                    value = self._worker.caller.finish(value)  # noqa: PLW2901
                if pickle:
                    self._worker.pack_result(value)
                settled.append(value)
            except TaskCancelled:
                raise
            except BaseException as error:  # noqa: BLE001 - it belongs to the item
                parts.append(self._worker.pack_error(error)[1])
                settled = self._open_part(parts)
        return parts

    def _pack(self, parts: list[Part], begun: int, count: int) -> tuple[int, bytes, Sequence[Any]]:
        try:
            return self._packed(parts, begun, count)
        except SerializationError:
            settled: list[Part] = []
            for part in parts:
                settled += [part] if isinstance(part, bytes) else self._settled(part, pickle=True)
            return self._packed([part for part in settled if part], begun, count)

    def _packed(
        self, parts: list[Part], begun: int, count: int
    ) -> tuple[int, bytes, Sequence[Any]]:
        if begun < count or len(parts) != 1 or isinstance(parts[0], bytes):
            return self._worker.pack_result((parts, begun))
        values = parts[0]
        packed = self._worker.pack_result(values)
        if values[0] is None and packed[1] == self._packed_nothing(count):
            return self._worker.pack_result(count)  # so many times nothing
        return packed

    def _packed_nothing(self, count: int) -> bytes:
        """Return what a list of nothing but None is, pickled. (Comparing results would call their methods.)"""
        if self._nothing[0] != count:
            self._nothing = count, self._worker.pack_result([None] * count)[1]
        return self._nothing[1]

    def _watch_forks(self) -> None:
        """See to it that a child that an item forks does not go on with the next item."""
        self._watches_forks = True
        os.register_at_fork(after_in_child=self._forget_items)

    def _forget_items(self) -> None:
        for _ in self._iterator:
            pass
