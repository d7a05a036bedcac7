"""Sources that are none, that raise, that do not fit each other: one clear error, at the right call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.children import Gate, call, double
from workpool import Executor, WorkerPool, sync

METHODS = ["map", "map_unordered", "process"]
NO_SOURCES: list[Any] = [3, None, double]


async def endless() -> Any:
    yield 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("source", [*NO_SOURCES, endless], ids=["int", "None", "function", "async"])
async def test_what_is_no_source_is_refused_at_the_call(method: str, source: Any) -> None:
    """By both faces, with advice for the generator function that was not called."""
    advice = "call it, if it is a generator function" if callable(source) else "not"
    async with WorkerPool(double, max_workers=1) as pool:
        with pytest.raises(TypeError, match=f"a source must be an iterable.*{advice}"):
            run: Any = getattr(pool, method)(source)
            await run  # of `process`
    blocking: Any = sync.WorkerPool(double)
    with pytest.raises(TypeError, match=f"a source must be an iterable.*{advice}"), blocking:
        getattr(blocking, method)(source)


@pytest.mark.parametrize("method", METHODS)
def test_a_pool_takes_one_source(method: str) -> None:
    """Its function takes one argument: two sources are refused where they are given."""
    for pool in (WorkerPool[Any, Any](double), sync.WorkerPool[Any, Any](double)):
        with pytest.raises(TypeError, match="positional argument"):
            getattr(pool, method)([1, 2], [1])


# The executor, whose functions take several


@pytest.mark.parametrize("chunksize", [1, 3])
@pytest.mark.parametrize("buffersize", [None, 2])
def test_iterables_of_different_lengths(chunksize: int, buffersize: int | None) -> None:
    """The shortest ends them, as with `concurrent.futures`; with `strict` that is an error."""
    how: dict[str, Any] = {"chunksize": chunksize, "buffersize": buffersize}
    with Executor(1) as executor:
        assert list(executor.map(pow, [1, 2, 3, 4], range(9), **how)) == [1, 2, 9, 64]
        assert list(executor.map(pow, [1, 2], [1, 2], strict=True, **how)) == [1, 4]
        with pytest.raises(ValueError, match="argument 2 is longer than argument 1"):
            list(executor.map(pow, range(9), range(99), strict=True, **how))


@pytest.mark.parametrize("chunksize", [1, 3])
def test_an_iterable_that_raises(gate: Gate, chunksize: int) -> None:
    """At the call, as it is read there; what had been submitted and not begun is cancelled."""

    def source() -> Iterator[Any]:
        yield from [(abs, number) for number in range(6)]
        raise LookupError("the source")

    with Executor(1) as executor:
        running = executor.submit(gate.pass_through)
        gate.arrived_blocking()
        with pytest.raises(LookupError, match="the source"):
            executor.map(call, source(), chunksize=chunksize)
        gate.open()
        assert isinstance(running.result(), int)
        assert executor._pool.statistics().completed == 1


def test_an_iterable_that_raises_when_it_is_read_so_far(gate: Gate) -> None:
    """With `buffersize`, where the result is asked for that makes room."""

    def source() -> Iterator[int]:
        yield from range(3)
        raise LookupError("the source")

    with Executor(1) as executor:
        results = executor.map(abs, source(), buffersize=2)
        assert next(results) == 0
        with pytest.raises(LookupError, match="the source"):
            next(results)
        assert list(results) == []
        assert executor.submit(abs, -1).result() == 1
