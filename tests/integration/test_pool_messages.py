"""Messages both ways: delivered once, in order, to whoever listens."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests import children
from tests.children import Gate, call_with_client
from workpool import Entrypoint, SerializationError, WorkerHandle, WorkerPool

Pool = WorkerPool[Any, Any]


def keeping(entrypoint: str = "call_with_client") -> Entrypoint:
    return Entrypoint("tests.children", entrypoint, on_worker_start=children.keep_messages)


# From workers


@pytest.mark.parametrize("entrypoint", ["call_with_client", "call_async_with_client"])
async def test_messages_of_a_worker_arrive_in_order(entrypoint: str) -> None:
    """All of them, with the worker's handle, before the result of the task that sent them."""
    came: list[tuple[Any, WorkerHandle]] = []
    async with Pool(f"tests.children:{entrypoint}", max_workers=1) as pool:
        pool.on_message("count", lambda content, origin: came.append((content, origin)))
        assert await pool.add_task((children.post, "count", *range(2000))) == 0
        assert [content for content, _ in came] == list(range(2000))
        assert {origin for _, origin in came} == set(pool.workers)


@pytest.mark.parametrize(
    "content", [None, 0, "text", {"a": [1, 2]}, b"x" * 1_000_000, "ü" * 100_000], ids=type
)
async def test_contents_of_every_size(content: Any) -> None:
    """Nothing, small and large contents travel in both directions."""
    came: list[Any] = []
    async with Pool(keeping(), max_workers=1) as pool:
        pool.on_message("big", lambda content, _origin: came.append(content))
        await pool.add_task((children.post, "big", content))
        assert came == [content]
        pool.post_message_to_workers("note", content)
        assert await pool.add_task((children.kept_messages,)) == [content]


async def test_handlers_in_the_pool() -> None:
    """Sync and async handlers, several for a type, and none for another; removed ones are still."""
    came: list[tuple[str, Any]] = []

    def first(content: Any, _origin: WorkerHandle) -> None:
        came.append(("first", content))

    async def second(content: Any, _origin: WorkerHandle) -> None:
        await asyncio.sleep(0)
        came.append(("second", content))
        if content == 1:
            later.set()

    later = asyncio.Event()
    async with Pool(call_with_client, max_workers=1) as pool:
        pool.on_message("note", first)
        pool.on_message("note", second)
        await pool.add_task((children.post, "nobody listens", 0))
        await pool.add_task((children.post, "note", 1))
        await later.wait()
        assert sorted(came) == [("first", 1), ("second", 1)]
        pool.remove_message_listener("note", second)
        await pool.add_task((children.post, "note", 2))
        assert came[2:] == [("first", 2)]
        pool.remove_message_listener("note", first)
        await pool.add_task((children.post, "note", 3))
        assert len(came) == 3
        with pytest.raises(ValueError, match="not registered"):
            pool.remove_message_listener("note", first)


async def test_a_handler_in_the_pool_that_raises_is_reported() -> None:
    """The error goes to the loop's exception handler; the other handlers are called."""
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    came: list[Any] = []

    def refuse(content: Any, _origin: WorkerHandle) -> None:
        raise ValueError(content)

    async with Pool(call_with_client, max_workers=1) as pool:
        pool.on_message("note", refuse)
        pool.on_message("note", lambda content, _origin: came.append(content))
        await pool.add_task((children.post, "note", 1, 2))
    assert came == [1, 2]
    assert [context["exception"].args for context in reported] == [(1,), (2,)]


async def test_a_handler_may_answer() -> None:
    """A handler in the pool may send messages and add tasks."""
    answers: list[Any] = []
    form = Entrypoint("tests.children", "call_with_client", on_worker_start=children.echo_messages)
    async with Pool(form, max_workers=1) as pool:

        def ask(content: Any, origin: WorkerHandle) -> None:
            origin.post_message("ask", content + 1)
            answers.append(pool.add_task((children.worker_id,)))

        pool.on_message("question", ask)
        pool.on_message("answer", lambda content, _origin: answers.append(content))
        await pool.add_task((children.post, "question", 41))
        while len(answers) < 2:
            await asyncio.sleep(0.002)
        assert answers[1] == 42
        assert await answers[0] == 0


async def test_messages_from_other_threads_of_a_task() -> None:
    """Any thread of a task may send; each message arrives whole, and each thread's in order."""
    came: list[tuple[int, int]] = []
    async with Pool(call_with_client, max_workers=1) as pool:
        pool.on_message("note", lambda content, _origin: came.append(content[:2]))
        await pool.add_task((children.post_from_threads, 4, 100))
    for thread in range(4):
        assert [n for number, n in came if number == thread] == list(range(100))


async def test_a_message_that_cannot_be_pickled() -> None:
    """Sending it raises `SerializationError` where it is sent; nothing else happens."""
    came: list[Any] = []
    async with Pool(keeping(), max_workers=1) as pool:
        pool.on_message("note", lambda content, _origin: came.append(content))
        with pytest.raises(SerializationError) as caught:
            await pool.add_task((children.post_unpicklable,))
        assert (caught.value.side, caught.value.subject) == ("worker", "message")
        with pytest.raises(SerializationError) as caught:
            pool.post_message_to_workers("note", children.Unpicklable())
        assert (caught.value.side, caught.value.subject) == ("pool", "message")
        await pool.add_task((children.post, "note", 1))
    assert came == [1]


async def test_a_message_that_cannot_be_unpickled_is_reported() -> None:
    """In the pool the loop's handler is told; a worker lives on."""
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    async with Pool(keeping(), max_workers=1, worker_output=lambda *_: None) as pool:
        await pool.add_task((children.post_one_way,))
        assert isinstance(reported[0]["exception"], SerializationError)
        pool.post_message_to_workers("note", children.OneWayResult())
        pool.post_message_to_workers("note", "good")
        assert await pool.add_task((children.kept_messages,)) == ["good"]
        assert pool.statistics().restarts == 0


# To workers


@pytest.mark.parametrize("entrypoint", ["call_with_client", "call_async_with_client"])
async def test_messages_to_a_worker_arrive_in_order(entrypoint: str) -> None:
    """Also those sent while it starts, and more than its mailbox holds."""
    async with Pool(keeping(entrypoint), max_workers=1, min_workers=1) as pool:
        for number in range(1000):
            pool.post_message_to_workers("note", number)
        while len(kept := await pool.add_task((children.kept_messages,))) < 1000:
            pass
        assert kept == list(range(1000))
        for number in range(1000, 3000):
            pool.workers[0].post_message("note", number)
        while len(kept := await pool.add_task((children.kept_messages,))) < 3000:
            pass
        assert kept == list(range(3000))


async def test_messages_go_to_every_worker_or_to_one(gate: Gate) -> None:
    """`post_message_to_workers` reaches all, `WorkerHandle.post_message` the one it is of."""
    async with Pool(keeping(), max_workers=2, min_workers=2) as pool:
        pool.post_message_to_workers("note", "to all")
        for worker in pool.workers:
            worker.post_message("note", worker.id)
        kept = [
            await pool.add_task((children.kept_messages,), affinity="force", worker=number)
            for number in range(2)
        ]
    assert kept == [["to all", 0], ["to all", 1]]


async def test_messages_between_tasks(gate: Gate) -> None:
    """A busy sync worker handles messages after its task, before the next one."""
    async with Pool(keeping(), max_workers=1) as pool:
        busy = pool.add_task((children.pass_gate, gate))
        behind = pool.add_task((children.kept_messages,))
        await gate.arrived()
        pool.post_message_to_workers("note", "meanwhile")
        gate.open()
        await busy
        assert await behind == ["meanwhile"]


async def test_poll_messages_in_a_long_task(gate: Gate) -> None:
    """A sync task that polls gets the messages that come while it runs."""
    async with Pool(keeping(), max_workers=1) as pool:
        task = pool.add_task((children.poll_until, 99, gate))
        await gate.arrived()
        for number in range(100):
            pool.post_message_to_workers("note", number)
        assert await task == list(range(100))


@pytest.mark.parametrize(
    ("entrypoint", "hook"),
    [
        ("call_with_client", children.echo_messages),
        ("call_with_client", children.echo_messages_async),
        ("call_async_with_client", children.echo_messages),
        ("call_async_with_client", children.echo_messages_async),
    ],
)
async def test_an_idle_worker_handles_messages_at_once(entrypoint: str, hook: Any) -> None:
    """No task is needed; handlers may be sync or async in either kind of worker."""
    answers: asyncio.Queue[Any] = asyncio.Queue()
    form = Entrypoint("tests.children", entrypoint, on_worker_start=hook)
    async with Pool(form, max_workers=1, min_workers=1) as pool:
        pool.on_message("answer", lambda content, _origin: answers.put_nowait(content))
        for number in range(10):
            pool.post_message_to_workers("ask", number)
            assert await answers.get() == number


async def test_an_async_worker_handles_messages_while_tasks_run(gate: Gate) -> None:
    """Messages are handled as they come, beside running tasks, also with every lane busy."""
    answers: asyncio.Queue[Any] = asyncio.Queue()
    form = Entrypoint(
        "tests.children", "call_async_with_client", on_worker_start=children.echo_messages_async
    )
    async with Pool(form, max_workers=1, worker_concurrency=1) as pool:
        pool.on_message("answer", lambda content, _origin: answers.put_nowait(content))
        task = pool.add_task((children.pass_gate_async, gate))
        await gate.arrived()
        pool.post_message_to_workers("ask", "anybody there?")
        assert await answers.get() == "anybody there?"
        assert not task.done()
        gate.open()
        await task


async def test_a_worker_removes_its_listener() -> None:
    """After `remove_message_listener` a handler is not called any more."""
    async with Pool(keeping(), max_workers=1) as pool:
        await pool.add_task((children.kept_messages,))
        pool.post_message_to_workers("note", 1)
        await pool.add_task((children.forget_messages,))
        pool.post_message_to_workers("note", 2)
        assert await pool.add_task((children.kept_messages,)) == [1]


async def test_a_handler_in_a_worker_that_raises_does_not_end_it() -> None:
    """What it raised is printed by the worker, which goes on with all the rest."""
    printed: list[str] = []
    form = Entrypoint("tests.children", "call_with_client", on_worker_start=children.echo_messages)
    answers: list[Any] = []
    pool = Pool(form, max_workers=1, worker_output=lambda _w, _s, line: printed.append(line))
    async with pool:
        pool.on_message("answer", lambda content, _origin: answers.append(content))
        await pool.add_task((children.worker_id,))
        pool.post_message_to_workers("raise", "this")
        pool.post_message_to_workers("ask", "still there?")
        await pool.add_task((children.worker_id,))
        assert pool.statistics().restarts == 0
    assert answers == ["still there?"]
    assert "ValueError: the handler does not like 'this'" in printed
