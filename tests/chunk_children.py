"""What the tests of chunks run in workers. Light: workers import it."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # as `typing` has it
if TYPE_CHECKING:
    from typing import Any

    from workpool import WorkerClient


def note(path: str, number: int) -> int:
    """Write a number down, in a file of many writers; return it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, b"%d\n" % number)
    finally:
        os.close(descriptor)
    return number


def noted(path: str) -> list[int]:
    """Return the numbers written down, in order."""
    if not os.path.exists(path):  # noqa: PTH110 - light
        return []
    with open(path, encoding="ascii") as file:  # noqa: PTH123 - light
        return sorted(map(int, file))


def note_and_do(path: str, number: int, function: Any, *arguments: Any) -> Any:
    """Write a number down, then call a function."""
    note(path, number)
    return function(*arguments)


def number_of(work: tuple[str, int]) -> int:
    """Return the number of an item that names a file, too."""
    return work[1]


def note_before(work: tuple[str, int], _client: WorkerClient) -> None:
    """Write such an item's number down: a hook."""
    note(*work)


def stop_iteration(number: int) -> int:
    """Raise what ends an iteration."""
    if number == 7:
        raise StopIteration("seven")
    return number


def coroutine_for_some(number: int) -> Any:
    """Return a number, or a coroutine that does."""
    return _later(number) if number % 3 == 0 else number


def coroutine_for_all(number: int) -> Any:
    """Return a coroutine that returns a number."""
    return _later(number)


async def _later(number: int) -> int:
    if number == 50:
        raise ValueError(number)
    return number


def process_id_of(_number: int) -> int:
    """Return the id of the process that runs an item."""
    return os.getpid()


def fork_for_five(number: int) -> int:
    """Return a number; for one of them from a forked child too."""
    if number == 5 and not os.fork():
        return number
    if number == 5:
        os.wait()
    return number


def task_id(_number: int, client: WorkerClient) -> int:
    """Return the id of the task that an item is."""
    assert client.task is not None
    return client.task.id


async def double_async(number: int) -> int:
    """Return twice a number."""
    return 2 * number


def pass_both(gate: Any, second: Any) -> int:
    """Pass a gate holding the GIL, then another one without; return 300."""
    gate.pass_holding_gil()
    second.pass_through()
    return 300


def pass_and_die(gate: Any) -> None:
    """Pass a gate, then end without a word."""
    gate.pass_through()
    os._exit(3)
