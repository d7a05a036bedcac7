"""An endless source runs at constant memory: of this process, of the arena, of the worker."""

from __future__ import annotations

import ctypes
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.children import double, identity
from workpool import CompletionEvent, WorkerPool, WorkQueue, sync

ITEM_BYTES = 10_000
BUFFER = 100
WARM_UP = 600
"""Items after which the buffer is full, and whatever is made once has been made."""
MEASURED = 3000
MOST_GROWTH = 6_000_000
"""Bytes, a fifth of what these items are together: one that keeps them, or their results, is seen."""


class Enough(Exception):
    """Ends `process`."""


class Meter:
    """Counts items; measures from the end of the warm-up on, tells when it is enough."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._count = 0
        self._before: dict[str, int] = {}
        self.growth: dict[str, int] = {}

    def count(self, item: bytes) -> bool:
        """Count a result; return whether it was the last one."""
        assert len(item) == ITEM_BYTES
        self._count += 1
        if self._count == WARM_UP:
            # What earlier tests have freed is given back, or it would have room for a leak.
            ctypes.CDLL(None).malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5")  # the peak is as of now
            self._before = self._look()
        if self._count < WARM_UP + MEASURED:
            return False
        self.growth = {what: size - self._before[what] for what, size in self._look().items()}
        return True

    def _look(self) -> dict[str, int]:
        pool = getattr(self._pool, "_pool", self._pool)
        engine = pool._engine
        [worker] = engine.fleet.present()
        return {
            "peak of this process": _memory("self", "VmHWM"),
            "arena": os.fstat(engine.dispatcher.arena.descriptor).st_blocks * 512,
            "worker": _memory(worker.process.pid, "VmRSS"),
        }


def _memory(process: int | str, what: str) -> int:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition(f"{what}:")[2].split()[0]) * 1024


def endless() -> Iterator[bytes]:
    """Yield items that are all different."""
    return (number.to_bytes(8, "big") * (ITEM_BYTES // 8) for number in itertools.count())


def stop_at_the_end(meter: Meter) -> Callable[[CompletionEvent[bytes, bytes]], None]:
    def on_complete(event: CompletionEvent[bytes, bytes]) -> None:
        if meter.count(event.result):
            raise Enough

    return on_complete


@pytest.mark.parametrize("method", ["map", "map_unordered", "process"])
async def test_an_endless_source_needs_no_more_and_more_memory(method: str) -> None:
    """However many of its items have come by."""
    async with WorkerPool(identity, max_workers=1) as pool:
        meter = Meter(pool)
        if method == "process":
            with pytest.raises(Enough):
                await pool.process(endless(), buffer=BUFFER, on_complete=stop_at_the_end(meter))
        else:
            async for item in getattr(pool, method)(endless(), buffer=BUFFER):
                if meter.count(item):
                    break
        assert meter.growth
        assert max(meter.growth.values()) < MOST_GROWTH, meter.growth


@pytest.mark.parametrize("method", ["map", "map_unordered", "process"])
def test_an_endless_source_of_a_blocking_pool(method: str) -> None:
    """As with the asyncio pool."""
    with sync.WorkerPool(identity, max_workers=1) as pool:
        meter = Meter(pool)
        if method == "process":
            with pytest.raises(Enough):
                pool.process(endless(), buffer=BUFFER, on_complete=stop_at_the_end(meter))
        else:
            for item in getattr(pool, method)(endless(), buffer=BUFFER):
                if meter.count(item):
                    break
        assert meter.growth
        assert max(meter.growth.values()) < MOST_GROWTH, meter.growth


def test_a_queue_that_is_fed_from_another_thread() -> None:
    """The blocking pool reads a `WorkQueue` while it is filled by hand, until that ends it."""
    queue: WorkQueue[int] = WorkQueue()
    with sync.WorkerPool(double, max_workers=1) as pool:
        results = pool.map(queue)
        for number in range(3):
            queue.add(number)
            assert next(results) == 2 * number
        threading.Timer(0.01, queue.throw, [LookupError("enough")]).start()
        with pytest.raises(LookupError, match="enough"):
            next(results)
