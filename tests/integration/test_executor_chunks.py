"""`Executor.map` in chunks: nobody can tell, but by the clock."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import CancelledError, wait
from pathlib import Path
from typing import Any

import pytest

from tests import children
from tests.children import Gate
from tests.chunk_children import note, note_and_do, noted
from workpool import Executor, WorkerCrashed


@pytest.fixture
def executor() -> Iterator[Executor]:
    with Executor(max_workers=2) as executor:
        yield executor


def test_many_cheap_calls(executor: Executor) -> None:
    """All results, in order: of a range, of lists side by side, of a generator."""
    count = 20_000
    assert list(executor.map(abs, range(-count, 0))) == list(range(count, 0, -1))
    pairs = executor.map(divmod, range(count), [7] * count)
    assert list(pairs) == [divmod(n, 7) for n in range(count)]
    assert list(executor.map(abs, (-n for n in range(count)))) == list(range(count))


@pytest.mark.parametrize("chunksize", [1, 10])
def test_others_run_whatever_becomes_of_one(tmp_path: Path, chunksize: int) -> None:
    """All are run although nobody asks for the results, and one of them fails."""
    path = str(tmp_path / "notes")
    functions: list[Any] = [abs] * 200
    functions[33] = children.raise_value_error
    with Executor(max_workers=2) as executor:
        executor.map(
            note_and_do, [path] * 200, range(200), functions, range(200), chunksize=chunksize
        )
    assert noted(path) == list(range(200))


def test_a_death_costs_few(tmp_path: Path) -> None:
    """What was not begun when a worker died is run by another; nothing is run twice."""
    path = str(tmp_path / "notes")
    functions: list[Any] = [abs] * 100
    functions[33] = children.kill_self
    with Executor(max_workers=1) as executor:
        results = executor.map(
            note_and_do, [path] * 100, range(100), functions, [9] * 100, chunksize=50
        )
        had = []
        with pytest.raises(WorkerCrashed):
            for result in results:
                had.append(result)  # noqa: PERF402 - what came before an error counts
        assert len(had) <= 33
    assert len(set(noted(path))) == len(noted(path))


def test_calls_begin_while_the_items_are_read(executor: Executor, gate: Gate) -> None:
    """An iterable may wait for what the calls of its earlier items do."""

    def gates() -> Iterator[Gate]:
        for _ in range(3):
            yield gate
            gate.arrived_blocking()

    assert list(executor.map(Gate.arrive, gates())) == [None] * 3


def test_an_iterable_that_raises(executor: Executor) -> None:
    """Its error is raised at the call."""

    def source() -> Iterator[int]:
        yield 1
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        executor.map(abs, source())


def test_shutdown_cancels_the_rest(tmp_path: Path, gate: Gate) -> None:
    """With `cancel_futures` what is in no worker is cancelled; who asks for its result learns that."""
    path = str(tmp_path / "notes")
    executor = Executor(max_workers=1)
    running = executor.submit(gate.pass_through)
    gate.arrived_blocking()
    results = executor.map(note, [path] * 5000, range(5000))
    executor.shutdown(wait=False, cancel_futures=True)
    gate.open()
    wait([running], 20)
    with pytest.raises(CancelledError):
        list(results)
    executor.shutdown()
    assert len(noted(path)) < 5000


def test_a_timeout(executor: Executor, gate: Gate) -> None:
    """It ends the wait for a chunk, and for what is in none yet."""
    results = executor.map(Gate.pass_through, [gate] * 100, timeout=0.2)
    with pytest.raises(TimeoutError):
        next(results)
    gate.open(100)  # others may just have begun, before the news of their cancellation
    executor.shutdown()  # while the gate is there for them
