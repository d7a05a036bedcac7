"""`process` of the blocking pool: source and handlers have the caller's thread."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from queue import SimpleQueue
from typing import Any

import pytest

from tests import children
from tests.children import Gate, call
from workpool import PoolClosed, TaskCancelled, WorkQueue
from workpool.sync import WorkerPool

Pool = WorkerPool[Any, Any]
ONE = (children.double, 1)


@pytest.fixture
def pool() -> Iterator[Pool]:
    with Pool(call, max_workers=2) as pool:
        yield pool


def in_thread(function: Callable[[], object]) -> None:
    """Have something done by another thread, to its end."""
    thread = threading.Thread(target=function)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()


def test_source_and_handlers_may_block_and_use_the_pool(pool: Pool) -> None:
    """They run in the caller's thread, and other threads get what they ask for meanwhile."""
    threads = set()

    def note(*_: Any) -> bool:
        threads.add(threading.current_thread())
        in_thread(lambda: pool.add_task(ONE).result(10))
        assert pool.add_task(ONE).result(10) == 2
        return True

    def source() -> Iterator[Any]:
        note()
        yield ONE
        note()
        yield children.raise_value_error, "no"

    for each in (source(), closed_queue(ONE, (children.raise_value_error, "no"))):
        with pytest.raises(ExceptionGroup, match="1 of 2"):
            pool.process(each, on_complete=note, on_error=note, is_success=note)
    assert threads == {threading.current_thread()}


def closed_queue(*items: Any) -> WorkQueue[Any]:
    queue = WorkQueue(*items)
    queue.close()
    return queue


def test_async_handlers(pool: Pool) -> None:
    """They are run in the pool's own thread, and waited for."""
    threads = set()

    async def note(_: Any) -> bool:
        threads.add(threading.current_thread().name)
        return True

    async def fail(_: Any) -> None:
        raise OSError("no")

    assert pool.process([ONE] * 3, on_complete=note, is_success=note).completed == 3
    assert threads == {"workpool-workpool"}
    with pytest.raises(OSError, match="no"):
        pool.process([ONE] * 3, on_complete=fail)


@pytest.mark.parametrize("kind", ["source", "queue"])
def test_a_handler_that_raises_cancels_what_is_in_flight(pool: Pool, gate: Gate, kind: str) -> None:
    """Its error, of whatever kind, is raised by the call; nothing goes on."""

    def leave(_: Any) -> None:
        gate.arrived_blocking()
        raise SystemExit("enough")

    items = [ONE, *[(gate.pass_through,)] * 5]
    with pytest.raises(SystemExit, match="enough"):
        pool.process(closed_queue(*items) if kind == "queue" else items, on_complete=leave)
    pool.when_idle(20)
    assert pool.statistics().cancelled == 5


def test_a_cancelled_task_counts_as_failed(pool: Pool, gate: Gate) -> None:
    """It is told of like a failure, once, however often it was cancelled."""
    errors: list[Any] = []
    added: SimpleQueue[Any] = SimpleQueue()
    pool.on("task-added", added.put)

    def cancel() -> None:
        gate.arrived_blocking()
        task = added.get(timeout=20)
        for _ in range(3):
            task.cancel()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    works = [(gate.pass_through,), ONE]
    with pytest.raises(ExceptionGroup, match="1 of 2"):
        pool.process(works, on_error=lambda event: errors.append(event.error))
    canceller.join(20)
    assert [type(error) for error in errors] == [TaskCancelled]


def test_closing_meanwhile_finishes_what_is_in_flight(pool: Pool) -> None:
    """What the source gives after that is refused; that is said when the rest has ended."""
    done: list[Any] = []

    def source() -> Iterator[Any]:
        yield from [ONE] * 3
        pool.dispose()
        yield ONE

    with pytest.raises(PoolClosed):
        pool.process(source(), on_complete=done.append)
    assert [event.result for event in done] == [2, 2, 2]


# SystemExit and the like


async def exiting_async(error: BaseException) -> AsyncIterator[Any]:
    yield ONE
    raise error


def exiting(error: BaseException) -> Iterator[Any]:
    yield ONE
    raise error


WAYS: dict[str, Callable[[Pool, BaseException], object]] = {
    "source of map": lambda pool, error: list(pool.map(exiting(error))),
    "source of process": lambda pool, error: pool.process(exiting(error)),
    "async source of map": lambda pool, error: list(pool.map(exiting_async(error))),
    "async source of process": lambda pool, error: pool.process(exiting_async(error)),
    "async handler": lambda pool, error: pool.process(
        [ONE], on_complete=lambda _: anext(aiter(raising(error)))
    ),
    "task in the pool's thread": lambda pool, error: pool.add_task(
        (raise_it, error), main_thread=True
    ).result(20),
}


async def raising(error: BaseException) -> AsyncIterator[None]:
    raise error
    yield


def raise_it(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_what_ends_a_program_ends_the_call(pool: Pool, way: str, kind: type[BaseException]) -> None:
    """`sys.exit()` in the pool's own thread, and in the caller's: it is raised by the call; the pool goes on."""
    error = kind("leave")
    with pytest.raises(kind, match="leave") as caught:
        WAYS[way](pool, error)
    assert caught.value is error
    assert pool.add_task(ONE).result(20) == 2


@pytest.mark.parametrize("event", ["task-added", "task-complete"])
@pytest.mark.parametrize("is_async", [False, True])
def test_a_listener_that_exits_is_reported(
    pool: Pool, event: Any, is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Like one that raises anything else; the other listeners are told, and the pool goes on."""
    told: list[Any] = []

    async def leave_later(*_: Any) -> None:
        raise SystemExit("a listener")

    def leave(*_: Any) -> None:
        raise SystemExit("a listener")

    pool.on(event, leave_later if is_async else leave)
    pool.on(event, lambda *_: told.append(1))
    assert [pool.add_task(ONE).result(20) for _ in range(2)] == [2, 2]
    pool.when_idle(20)
    assert told == [1, 1]
    errors = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert [str(error) for error in errors] == ["a listener", "a listener"]


def test_a_function_for_output_that_exits_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    """So is whatever else the pool's own thread calls; the pool goes on."""

    def leave(*_: Any) -> None:
        raise SystemExit("no output")

    with Pool(call, max_workers=1, worker_output=leave) as pool:
        for _ in range(3):
            assert pool.add_task((children.say, "a line")).result(20) is None
    errors = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert {str(error) for error in errors} == {"no output"}
