"""Which tasks may travel together, and what becomes of a batch that cannot be sent."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import pytest

from tests.unit.test_dispatcher import Bench, PlainTask
from workpool._batch import Batch, take_batch
from workpool._options import TaskSettings
from workpool._retry_policy import RetryPolicy
from workpool._system.arena import RECORD_LIMIT, Arena
from workpool._system.token_queue import TokenQueue
from workpool._worker.resolve import Entry

PLAIN = TaskSettings(None, RetryPolicy(0), plain=True)


def plain_tasks(*arguments: object) -> list[Any]:
    return [PlainTask(n + 1, argument, _settings=PLAIN) for n, argument in enumerate(arguments)]


def nested(levels: int) -> Any:
    value: Any = ()
    for _ in range(levels):
        value = (value,)
    return value


@pytest.mark.parametrize("other", [[1], "x" * 5000, b"x" * 5000, nested(5000), (1,) * 5000])
def test_what_may_not_travel_with_others(other: Any) -> None:
    """Mutable, large and deep arguments end a batch, and wait where they were."""
    tasks = plain_tasks(1, "a", other, 2)
    backlog = deque(tasks)
    batch = take_batch(backlog, 10)
    assert batch is not None
    assert batch.members == tasks[:2]
    assert list(backlog) == tasks[2:]


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.dispatcher.close()


def test_a_batch_that_the_system_refuses_fails_each_member(bench: Bench) -> None:
    """As a single task does; nothing stays counted or dispatched."""
    tasks = plain_tasks(*range(10))
    batch: Any = Batch(tasks)
    bench.scheduler.place(batch, 0)
    with patch.object(TokenQueue, "push", side_effect=OSError(errno.ENOMEM, "no memory")):
        bench.dispatcher.send(0, [batch])
    assert all(isinstance(task.error, OSError) for task in tasks)
    assert bench.counts == [0, 0, 0]
    assert not bench.ledger.dispatched
    assert bench.dispatcher.arena.records == 0


def test_a_long_int_leaves_the_other_records_alone(bench: Bench) -> None:
    """It is no small thing although its type is plain: it travels as a parcel."""
    tasks: list[Any] = plain_tasks(*range(8), *[1 << 8_000_000] * 2, *range(8))
    for task in tasks:
        bench.scheduler.place(task, 0)
    written: list[int] = []

    def write(records: list[bytes]) -> int:
        written.append(sum(map(len, records)))
        return Arena.write(bench.dispatcher.arena, records)

    with patch.object(bench.dispatcher.arena, "write", write):
        bench.dispatcher.send(0, tasks)
    assert len(bench.ledger.dispatched) == len(tasks)
    assert max(written) <= RECORD_LIMIT


def takes_argument(argument: object) -> None:
    pass


def takes_client(argument: object, client: object) -> None:
    pass


@pytest.mark.parametrize(
    ("function", "hooks", "expected"),
    [
        (takes_argument, {}, True),
        (takes_client, {}, False),
        (takes_argument, {"on_worker_start": takes_argument}, False),
        (takes_argument, {"pre_task": takes_argument}, False),
        (takes_argument, {"on_worker_exit": takes_argument}, True),
    ],
)
def test_who_may_ask_for_the_task_gets_tasks_singly(
    function: Callable[..., Any], hooks: dict[str, Callable[..., Any]], expected: bool
) -> None:
    """Whatever has the worker's client can ask which task is running, and what comes next."""
    assert Entry(function, hooks).takes_batches is expected
