"""Tasks: results, errors, state, costs, settings; arguments and results of every size."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest

from tests import children
from tests.children import Gate, call, call_with_client
from workpool import (
    Entrypoint,
    SerializationError,
    Task,
    TaskCancelled,
    WorkerPool,
    WorkerTraceback,
)

Pool = WorkerPool[Any, Any]


# Results


async def test_results_belong_to_their_tasks() -> None:
    """Every task gets its own result, whatever the order in which they end."""
    async with Pool(children.double, max_workers=3) as pool:
        assert await asyncio.gather(*map(pool.add_task, range(3000))) == [
            2 * number for number in range(3000)
        ]


@pytest.mark.parametrize("count", [1, 2])
async def test_one_worker_runs_tasks_in_the_order_they_were_added(count: int) -> None:
    """With one worker, tasks begin in the order of `add_task`."""
    order: list[int] = []
    async with Pool(call_with_client, max_workers=1) as pool:
        pool.on_message("number", lambda content, _origin: order.append(content))
        for first in range(0, 200 * count, 200):
            for number in range(first, first + 200):
                pool.add_task((children.post, "number", number))
            await pool.when_idle()
    assert order == list(range(200 * count))


VALUES = [
    None,
    b"",
    "",
    0,
    False,
    [],
    b"x" * 300_000,
    b"x" * 10_000,
    b"x" * 1_000_000,
    b"x" * 1_048_576,
    b"x" * 1_500_000,
    "ü" * 100_000,
    list(range(50_000)),
    bytearray(b"y" * 100_000),
    {"nested": [{"deep": (1, 2.5, None)}]},
]


@pytest.mark.parametrize("entrypoint", ["identity", "call_async"])
async def test_values_of_every_size_come_back(entrypoint: str) -> None:
    """Empty, small, large and odd values travel both ways unchanged."""
    async with Pool(getattr(children, entrypoint), max_workers=1) as pool:
        for value in VALUES:
            argument = value if entrypoint == "identity" else (children.identity, value)
            results = await asyncio.gather(*(pool.add_task(argument) for _ in range(5)))
            assert results == [value] * 5
            assert all(type(result) is type(value) for result in results)


async def test_many_large_tasks_at_once() -> None:
    """More large arguments than there is room for wait their turn, and all come back."""
    blocks = [bytes([number]) * (200_000 + number % 3 * 600_000) for number in range(60)]
    async with Pool(children.identity, max_workers=2) as pool:
        assert await asyncio.gather(*map(pool.add_task, blocks)) == blocks


async def test_medium_arguments_fill_the_arena() -> None:
    """Arguments just below the size that travels apart fill the shared memory, and none is lost."""
    blocks = [bytes([number % 256]) * 15_000 for number in range(3000)]
    async with Pool(children.identity, max_workers=2) as pool:
        assert await asyncio.gather(*map(pool.add_task, blocks)) == blocks


async def test_large_arrays_are_private_and_writable() -> None:
    """An 8 MB array arrives as one that can be written, and the sender's stays as it was."""
    array: Any = numpy.arange(1_000_000, dtype="int64")

    def increment(given: Any) -> Any:
        assert given.flags.writeable
        given += 1
        return given

    async with Pool(increment, max_workers=1) as pool:
        first, second = await asyncio.gather(pool.add_task(array), pool.add_task(array))
    assert array[0] == 0
    assert array[-1] == 999_999
    for result in (first, second):
        assert result.flags.writeable
        assert result[0] == 1
        assert result[-1] == 1_000_000
    first[0] = 77
    assert second[0] == 1


async def test_every_task_gets_its_own_copy_of_an_argument() -> None:
    """What one task does to its argument is not seen by another, nor by the caller."""

    def append(given: list[int]) -> list[int]:
        given.append(1)
        return given

    shared: list[int] = []
    async with Pool(append, max_workers=1) as pool:
        results = await asyncio.gather(*(pool.add_task(shared) for _ in range(3)))
    assert results == [[1], [1], [1]]
    assert shared == []


# Errors


async def test_an_error_arrives_as_itself() -> None:
    """The exception has its class and arguments, and the worker's traceback as its cause."""
    async with Pool(call, max_workers=1) as pool:
        with pytest.raises(LookupError) as caught:
            await pool.add_task((children.raise_error, LookupError, "gone", 7))
        assert list(caught.value.args) == ["gone", 7]
        cause = caught.value.__cause__
        assert isinstance(cause, WorkerTraceback)
        assert "raise kind(*arguments)" in cause.text
        assert "LookupError: ('gone', 7)" in cause.text
        assert "_worker" not in cause.text  # the library's own frames are nobody's business
        assert await pool.add_task((children.double, 2)) == 4


@pytest.mark.parametrize("entrypoint", [call, children.call_async])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, StopIteration, GeneratorExit])
async def test_what_ends_a_program_ends_only_the_task(
    entrypoint: Callable[..., Any], kind: type[BaseException]
) -> None:
    """`sys.exit` and the like in a task fail the task; its worker lives on."""
    async with Pool(entrypoint, max_workers=1) as pool:
        pid = await pool.add_task((os.getpid,))
        task = pool.add_task((children.raise_error, kind, "odd"))
        await asyncio.wait([task])
        error = task.exception()
        assert isinstance(error, (kind, RuntimeError))
        assert await pool.add_task((os.getpid,)) == pid


@pytest.mark.parametrize("entrypoint", [call, children.call_async])
async def test_an_argument_that_cannot_be_pickled(entrypoint: Callable[..., Any]) -> None:
    """The task fails naming the pool's side and the object; the others are not affected."""
    async with Pool(entrypoint, max_workers=1) as pool:
        before = pool.add_task((children.double, 1))
        task = pool.add_task((children.identity, children.Unpicklable()))
        after = pool.add_task((children.double, 2))
        with pytest.raises(SerializationError, match="Unpicklable thing") as caught:
            await task
        assert (caught.value.side, caught.value.subject) == ("pool", "argument")
        assert "this stays where it is" in str(caught.value)
        assert (await before, await after) == (2, 4)


@pytest.mark.parametrize("entrypoint", [call, children.call_async])
async def test_an_argument_that_cannot_be_unpickled(entrypoint: Callable[..., Any]) -> None:
    """The task fails naming the worker's side; the worker lives."""
    async with Pool(entrypoint, max_workers=1) as pool:
        pid = await pool.add_task((os.getpid,))
        with pytest.raises(SerializationError, match="there is no way back") as caught:
            await pool.add_task((children.identity, children.OneWayResult()))
        assert (caught.value.side, caught.value.subject) == ("worker", "argument")
        assert await pool.add_task((os.getpid,)) == pid


@pytest.mark.parametrize("entrypoint", [call, children.call_async])
async def test_a_result_that_cannot_be_pickled(entrypoint: Callable[..., Any]) -> None:
    """The task fails naming the worker's side and the object; the worker lives."""
    async with Pool(entrypoint, max_workers=1) as pool:
        pid = await pool.add_task((os.getpid,))
        with pytest.raises(SerializationError, match="Unpicklable thing") as caught:
            await pool.add_task((children.make, children.Unpicklable))
        assert (caught.value.side, caught.value.subject) == ("worker", "result")
        assert await pool.add_task((os.getpid,)) == pid


async def test_a_result_that_cannot_be_unpickled() -> None:
    """The task fails naming the pool's side; the pool goes on."""
    async with Pool(call, max_workers=1) as pool:
        with pytest.raises(SerializationError, match="there is no way back") as caught:
            await pool.add_task((children.make, children.OneWayResult))
        assert (caught.value.side, caught.value.subject) == ("pool", "result")
        for size in (100_000, 2_000_000):
            large = (children.make, list, [children.OneWayResult, b"x" * size])
            assert len(await pool.add_task(large)) == 2
        assert pool.statistics().failed == 1


@pytest.mark.parametrize(
    ("kind", "arguments", "says"),
    [
        (children.OneWayError, ("this", "that"), "OneWayError: this and that"),
        (children.HeldError, ("my message",), "HeldError: my message"),
    ],
)
async def test_an_exception_that_cannot_travel(
    kind: type[Exception], arguments: tuple[str, ...], says: str
) -> None:
    """The task fails with the exception's name and message, and its traceback as text."""
    async with Pool(call, max_workers=1) as pool:
        with pytest.raises(SerializationError) as caught:
            await pool.add_task((children.raise_error, kind, *arguments))
        assert says in str(caught.value)
        assert isinstance(caught.value.__cause__, WorkerTraceback)
        assert "raise kind(*arguments)" in caught.value.__cause__.text
        assert await pool.add_task((children.double, 2)) == 4


async def test_an_exception_with_a_large_message() -> None:
    """An error too large for the report pipe's datagram arrives whole."""
    async with Pool(call, max_workers=1) as pool:
        with pytest.raises(ValueError, match=r"x{100000}"):
            await pool.add_task((children.raise_error, ValueError, "x" * 100_000))
        assert await pool.add_task((children.double, 2)) == 4


async def test_an_error_nobody_looks_at_is_reported() -> None:
    """A failed task that was fired and forgotten reaches the loop's exception handler."""
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    async with Pool(call, max_workers=1) as pool:
        pool.add_task((children.raise_error, ValueError, "unseen"))
        pool.add_task((children.double, 2))
        await pool.when_idle()
        gc.collect()
        [context] = reported
        assert str(context["exception"]) == "unseen"
        assert "never retrieved" in context["message"]


# As a future


async def test_a_task_is_a_future() -> None:
    """gather, wait, as_completed, wait_for, TaskGroup code and callbacks take it as it is."""
    async with Pool(call, max_workers=2) as pool:
        tasks = [pool.add_task((children.double, number)) for number in range(4)]
        assert all(isinstance(task, Task | asyncio.Future) for task in tasks)
        done, pending = await asyncio.wait(tasks)
        assert (len(done), len(pending)) == (4, 0)
        assert [task.result() for task in tasks] == [0, 2, 4, 6]
        assert await asyncio.wait_for(pool.add_task((children.double, 5)), 20) == 10

        async def await_it(number: int) -> Any:
            return await pool.add_task((children.double, number))

        async with asyncio.TaskGroup() as group:
            first, second = group.create_task(await_it(1)), group.create_task(await_it(2))
        assert (first.result(), second.result()) == (2, 4)
        called: list[Any] = []
        task = pool.add_task((children.double, 6))
        task.add_done_callback(called.append)
        await task
        await asyncio.sleep(0)
        assert called == [task]
        completed = [await c for c in asyncio.as_completed([pool.add_task((os.getpid,))])]
        assert len(completed) == 1


async def test_gather_with_errors() -> None:
    """`return_exceptions` gathers results and errors in their places."""
    async with Pool(call, max_workers=2) as pool:
        outcomes = await asyncio.gather(
            pool.add_task((children.double, 1)),
            pool.add_task((children.raise_error, ValueError, "no")),
            pool.add_task((children.double, 3)),
            return_exceptions=True,
        )
    assert (outcomes[0], outcomes[2]) == (2, 6)
    assert isinstance(outcomes[1], ValueError)


async def test_the_attributes_of_a_task(tmp_path: Path) -> None:
    """Id, argument, key, meta, state, worker, attempts and costs are there, in seconds."""
    with Gate(tmp_path) as gate:
        form = Entrypoint("tests.children", "call", pre_task=children.note_nothing)
        async with Pool(form, max_workers=1) as pool:
            work = (gate.pass_through,)
            task = pool.add_task(work, key="k", meta={"a": 1})
            behind = pool.add_task((children.double, 2))
            assert (task.argument, task.key, task.meta) == (work, "k", {"a": 1})
            assert (task.state, task.cost, task.pre_task_cost) == ("waiting", None, None)
            assert (task.worker, task.attempts) == (None, 0)
            await gate.arrived()
            assert (task.state, behind.state) == ("running", "waiting")
            assert not task.done()
            gate.open()
            await asyncio.gather(task, behind)
            [worker] = pool.workers
            assert task.state == behind.state == "completed"
            assert task.worker is worker
            assert task.attempts == behind.attempts == 1
            assert task.id != behind.id
            for ended in (task, behind):
                assert ended.cost is not None
                assert 0 < ended.cost < 30
                assert ended.pre_task_cost is not None
                assert 0 <= ended.pre_task_cost < 30
            failed = pool.add_task((children.raise_error, ValueError, "no"))
            await asyncio.wait([failed])
            assert failed.state == "failed"
            assert failed.cost is not None
            assert failed.exception() is not None


async def test_pre_task_time_is_counted_apart(tmp_path: Path) -> None:
    """The time of `pre_task` is in `pre_task_cost`, not in `cost`."""
    with Gate(tmp_path) as gate:

        def wait_first(argument: float, _client: Any) -> None:
            gate.pass_through()

        form = Entrypoint("tests.children", "identity", pre_task=wait_first)
        async with Pool(form, max_workers=1) as pool:
            task = pool.add_task(1.0)
            await gate.arrived()
            # At least this long the hook is held up; the entrypoint itself does next to nothing.
            await asyncio.sleep(0.05)
            gate.open()
            await task
            assert task.cost is not None
            assert task.pre_task_cost is not None
            assert task.pre_task_cost >= 0.05 > task.cost


@pytest.mark.parametrize("form", ["call_with_client", "call_async_with_client"])
async def test_the_worker_sees_id_key_and_meta(form: str) -> None:
    """`client.task` is the running task's id, key and meta."""
    async with Pool(f"tests.children:{form}", max_workers=1) as pool:
        task = pool.add_task((children.task_info,), key=("a", 1), meta=[1, 2])
        assert await task == (task.id, ("a", 1), [1, 2])
        plain = pool.add_task((children.task_info,))
        assert await plain == (plain.id, None, None)


async def test_meta_that_cannot_be_pickled() -> None:
    """A meta that cannot travel fails its task with `SerializationError`."""
    async with Pool(children.identity, max_workers=1) as pool:
        with pytest.raises(SerializationError):
            await pool.add_task(1, meta=children.Unpicklable())
        assert await pool.add_task(2) == 2


# Retries


async def test_retries_run_a_failed_task_again(tmp_path: Path) -> None:
    """A task that fails is run again as often as it may, and counts its attempts."""
    async with Pool(call, max_workers=2, retries=2) as pool:
        task = pool.add_task((children.fail_the_first_times, str(tmp_path), 2))
        assert await task == 2
        assert task.attempts == 3


async def test_retries_come_to_an_end(tmp_path: Path) -> None:
    """When the retries are used up, the last error is the task's; a task's own number counts."""
    async with Pool(call, max_workers=1, retries=5) as pool:
        task = pool.add_task((children.fail_the_first_times, str(tmp_path), 10), retries=1)
        with pytest.raises(ValueError, match="failure 1"):
            await task
        assert task.attempts == 2
        unpicklable = pool.add_task((children.identity, children.Unpicklable()))
        with pytest.raises(SerializationError):
            await unpicklable


# In the parent


async def test_main_thread_runs_here() -> None:
    """The task runs in this process with the very argument, and no worker is started."""
    thing = children.Unpicklable()
    async with Pool(call, max_workers=1) as pool:
        task = pool.add_task((children.identity, thing), main_thread=True)
        assert await task is thing
        assert await pool.add_task((os.getpid,), main_thread=True) == os.getpid()
        assert pool.workers == ()
        assert task.state == "completed"
        assert task.cost is not None
        assert task.attempts == 1
        with pytest.raises(ValueError, match="no"):
            await pool.add_task((children.raise_error, ValueError, "no"), main_thread=True)
        assert await pool.add_task((os.getpid,)) != os.getpid()


async def test_main_thread_with_an_async_entrypoint_and_hooks() -> None:
    """Hooks and client are there for tasks in the parent as well; messages reach its listeners."""
    said: list[str] = []
    form = Entrypoint(
        "tests.children",
        "notes_async",
        on_worker_start=children.note_start_async,
        on_worker_exit=children.note_exit,
        pre_task=children.note_before_async,
    )
    pool = Pool(form, max_workers=1)
    pool.on_message("hook", lambda content, _origin: said.append(content))
    async with pool:
        first = ["start", ("before", 1), ("run", 1)]
        assert await pool.add_task(1, main_thread=True) == first
        assert await pool.add_task(2, main_thread=True) == [*first, ("before", 2), ("run", 2)]
    assert said == ["start", "exit"]


async def test_main_thread_can_be_cancelled() -> None:
    """Cancelling an async task that runs in the parent cancels its coroutine."""
    cancelled = asyncio.Event()

    async def wait_for_ever(_argument: Any) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled.set()

    async with Pool(wait_for_ever, max_workers=1) as pool:
        task = pool.add_task(None, main_thread=True)
        for _ in range(10):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await cancelled.wait()
        await pool.when_idle()
        assert pool.statistics().cancelled == 1


# Wrong settings


@pytest.mark.parametrize(
    "settings",
    [
        {"timeout": -1},
        {"timeout": 0},
        {"retries": -1},
        {"affinity": "heavy"},
        {"affinity": "force"},
        {"worker": 99},
        {"worker": -1},
    ],
    ids=str,
)
async def test_wrong_settings_of_a_task_are_refused(settings: dict[str, Any]) -> None:
    """A wrong setting raises in `add_task`, and no task is added."""
    async with Pool(children.double, max_workers=2) as pool:
        with pytest.raises(ValueError, match=next(reversed(settings))):
            pool.add_task(1, **settings)
        assert pool.is_idle
        assert await pool.add_task(1) == 2


@pytest.mark.parametrize(
    "options",
    [
        {"max_workers": 0},
        {"min_workers": -1},
        {"max_workers": 1, "min_workers": 2},
        {"tasks_per_worker": 0},
        {"worker_concurrency": 0},
        {"timeout": 0},
        {"retries": -1},
        {"max_tasks_per_worker": 0},
        {"max_memory_per_worker": 0},
        {"idle_timeout": -1},
        {"worker_output": "loud"},
    ],
    ids=str,
)
def test_wrong_options_of_a_pool_are_refused(options: dict[str, Any]) -> None:
    """A wrong option raises where the pool is made, naming the option."""
    with pytest.raises(ValueError, match=next(reversed(options))):
        Pool(children.double, **options)


def test_errors_survive_pickling() -> None:
    """Every error of the package can be sent through a pool of pools."""
    for error in (TaskCancelled("m"), SerializationError("m", side="worker", subject="result")):
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is type(error)
        assert str(copy) == "m"
        assert copy.__dict__ == error.__dict__
