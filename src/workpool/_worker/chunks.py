"""Items of a `map` that travel together: what they are, and how a worker runs them.

A chunk is one task. Its items are run in C, in *stretches*: before each the worker writes into the status
page how far it will come, and then looks whether the pool has *revoked* the chunk. What it has not begun then
it hands back. A pool that finds a chunk stuck while another worker is idle revokes it, lets that settle, and
then reads how far the worker will come: what lies behind is safe to be run elsewhere, because either
the worker saw the revocation or the pool sees the stretch. (The argument is that of `_interrupts.py`: each side
writes and then reads, and the pool waits in between for longer than a store stays in a CPU's buffer.) What is left
of the stretch itself a signal releases: see `stretches.py`.

The results of a stretch are put on the worker's *tray*, in shared memory, before the next begins. So a pool whose
chunk is stuck, or whose worker has died, has the results of what had been run before. (Otherwise they come
all together in the report; they are pickled twice, which is little against running the items.)
"""

from __future__ import annotations

import os
import time
from itertools import islice, starmap
from types import CoroutineType, FunctionType, MethodType

from workpool._serialization import brief
from workpool._system.status_page import INTERRUPT
from workpool._worker.stretches import Stretches
from workpool.errors import SerializationError, TaskCancelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from workpool._worker.worker import Worker

    Part = list[Any] | bytes

_SHORT_NS = 15_000
_LONG_NS = 60_000
"""Nanoseconds a stretch is to last at least, and at most: what a look at the status page costs is lost in the
one, and what a stuck item holds back is not much more than the other."""

_LONGEST_STRETCH = 256  # items

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


NOT_TAKEN: tuple[list[Any], int] = ([], 0)
"""The value of a chunk that is handed back as it came: its items are to be tasks of their own."""


_HANDLES_SIGNALS = (FunctionType, MethodType)
"""Python code, in which a signal's handler comes to run. Between the calls of C code it would not."""


def _handed_over(items: Iterator[Any]) -> Iterator[Any]:
    for item in items:  # noqa: UP028 - `yield from` would hand them over in C
        yield item


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
        self._words = worker.words
        self._interrupt_word = worker.page.field(worker.config.slot, INTERRUPT)
        self._stretches = Stretches(worker)
        self._step = 1
        self._iterator: Iterator[Any] = iter(())
        self._is_set_up = False
        self._nothing = 0, b""

    def run(self, attempt: int, chunk: Chunk) -> None:
        """Run a chunk's items. Always raises `WorkDone`, or what ends the whole of it."""
        if self._by_items:
            self._worker.count_begun(-1)
            raise WorkDone(0.0, *self._worker.pack_result(NOT_TAKEN))
        if not self._is_set_up:
            self._is_set_up = True
            self._stretches.handle_revocations()
            self._watch_forks()
        start = _clock()
        parts, begun = self._run_items(attempt, chunk)
        cost = (_clock() - start) / 1e9
        self._worker.count_begun(begun - 1)  # the task itself is counted as any is
        raise WorkDone(cost, *self._pack(parts, begun, len(chunk)))

    def _run_items(self, attempt: int, chunk: Chunk) -> tuple[list[Part], int]:
        """Return the results and errors (packed) of the items that were begun, and how many these are."""
        most = min(len(chunk), self._worker.tasks_left)
        step, position, stretch = self._step, 0, self._stretches
        iterator = self._iterator = iter(chunk.items)
        apply = self._application(chunk)
        values: list[Any] = []
        parts: list[Part] = [values]
        stretch.open_chunk(attempt)
        now = _clock()
        while position < most:
            before, end = len(values), min(position + step, most)
            items = islice(iterator, end - position)
            if not stretch.announce(position, end, items, values):
                break
            error = self._run_stretch(attempt, values, apply(items), before - position)
            position += len(values) - before
            if error is None and position < most and stretch.end == end:
                stretch.keep()
            else:
                stretch.keep_no_more()
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
            if stretch.end < end:
                break
            last, now = now, _clock()
            step = _next_step(step, now - last)
        stretch.close_chunk()
        self._step = max(1, step // 2)
        self._iterator = iter(())
        return [part for part in parts if part], position

    def _application(self, chunk: Chunk) -> Callable[[Iterator[Any]], Iterator[Any]]:
        """Return what turns items into the calls with them."""
        function = self._call if chunk.function is None else chunk.function
        apply: Callable[..., Iterator[Any]] = starmap if chunk.spread else map
        if isinstance(function, _HANDLES_SIGNALS):
            return lambda items: apply(function, items)
        return lambda items: apply(function, _handed_over(items))

    def _run_stretch(
        self, attempt: int, values: list[Any], results: Iterator[Any], offset: int
    ) -> BaseException | None:
        """Append the results of some items; return what one of them raised, which is the last begun then.

        `offset` is what the place of a result is more than that of its item.
        """
        error: BaseException | None = None
        try:
            values.extend(results)
        except BaseException as raised:  # noqa: BLE001 - it belongs to the item
            error = raised
        if self._worker.liveness.forked:
            raise SystemExit(0) if error is None else error
        if isinstance(error, TaskCancelled) and self._words[self._interrupt_word] == attempt:
            raise error  # meant for the task that this chunk is
        if error is None and len(values) < self._stretches.end + offset:
            return StopIteration("(what it held is lost)")  # which ended the stretch
        return error

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
        os.register_at_fork(after_in_child=self._forget_items)

    def _forget_items(self) -> None:
        for _ in self._iterator:
            pass
