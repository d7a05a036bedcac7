"""What the workers run. Light: a worker's start pays for this module.

Every task is a generator that yields the seconds it wants to sleep, so that the same task runs in
workers that block and in workers that have an event loop.
"""

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    Steps = Generator[float, None, Any]

Order = tuple[str, object]
"""The name of a task and its argument."""

BEAT = 0.02
"""Seconds between two signs of life of a task that runs for ever."""
A_WHILE = 120.0
"""Seconds after which a task ends that nobody has ended: longer than any experiment."""
RELEASE = ".release"
STARTS = "PEER_FAULTS_STARTS"
"""Environment variable: the file in which workers that die at their start leave their pids."""
EXEMPT = "PEER_FAULTS_EXEMPT"
"""Environment variable: the pid of the process that may import the deadly module."""


def perform(order: "Order") -> object:
    """Carry out an order by blocking."""
    steps = _steps(order)
    while True:
        try:
            time.sleep(next(steps))
        except StopIteration as end:
            return end.value


async def perform_async(order: "Order") -> object:
    """Carry out an order in an event loop."""
    import asyncio

    steps = _steps(order)
    while True:
        try:
            pause = next(steps)
        except StopIteration as end:
            return end.value
        await asyncio.sleep(pause)


def die_at_start(*_given: object) -> None:
    """Be a start hook or initializer that ends its process, and note that there was one."""
    with open(os.environ[STARTS], "a") as journal:  # noqa: PTH123 - pathlib costs milliseconds
        journal.write(f"{os.getpid()}\n")
    os._exit(3)


class Awkward(Exception):
    """An exception as many people write it: it cannot be unpickled."""

    def __init__(self, what: str, where: str) -> None:
        super().__init__(f"{what} in {where}")


class Bomb:
    """Can be pickled; unpickling it raises, in the process named or in every other one."""

    def __init__(self, pid: int, is_for_others: bool, error: "type[BaseException]") -> None:
        self._fuse = (pid, is_for_others, error)

    def __reduce__(self) -> "tuple[Callable[..., object], tuple[object, ...]]":
        return go_off, self._fuse


def go_off(pid: int, is_for_others: bool, error: "type[BaseException]") -> Bomb:
    """Raise where it is meant to, else be a bomb again."""
    if (os.getpid() != pid) == is_for_others:
        raise error("this object does not like to be unpickled here")
    return Bomb(pid, is_for_others, error)


def _steps(order: "Order") -> "Steps":
    name, argument = order
    return _TASKS[name](argument)


def _echo(argument: object) -> "Steps":
    yield BEAT
    return argument


def _hold(path: str) -> "Steps":
    """Say that the task runs, keep the worker until it is released, return its pid."""
    _announce(path)
    end = time.monotonic() + A_WHILE
    while not os.path.exists(path + RELEASE) and time.monotonic() < end:  # noqa: PTH110
        yield BEAT / 2
    return os.getpid()


def _loop(path: str) -> "Steps":
    """Go on for ever and touch a file all the time."""
    _announce(path)
    end = time.monotonic() + A_WHILE
    while time.monotonic() < end:
        yield BEAT
        os.utime(path)


def _stick(path: str) -> "Steps":
    """Run one C call that holds the GIL, minds no signal and never returns; no CPU is used."""
    import ctypes

    _announce(path)
    mutex = ctypes.create_string_buffer(256)
    library = ctypes.PyDLL(None)
    library.pthread_mutex_lock(mutex)
    library.pthread_mutex_lock(mutex)
    yield 0.0


def _segfault(path: str) -> "Steps":
    """Read what is not there as soon as the task is released."""
    import ctypes

    yield from _hold(path)
    ctypes.string_at(8)


def _leave(path: str) -> "Steps":
    yield from _hold(path)
    os._exit(0)


def _give_lock(_argument: object) -> "Steps":
    import threading

    yield BEAT
    return threading.Lock()


def _raise_awkward(_argument: object) -> "Steps":
    yield BEAT
    raise Awkward("something awkward", "a task")


def _give_bomb(fuse: "tuple[int, bool, type[BaseException]]") -> "Steps":
    yield BEAT
    return Bomb(*fuse)


def _announce(path: str) -> None:
    """Let a file appear, whole, that holds this process's id."""
    draft = f"{path}.{os.getpid()}"
    with open(draft, "w") as file:  # noqa: PTH123
        file.write(str(os.getpid()))
    os.rename(draft, path)  # noqa: PTH104


_TASKS: "dict[str, Callable[[Any], Steps]]" = {
    "echo": _echo,
    "hold": _hold,
    "loop": _loop,
    "stick": _stick,
    "segfault": _segfault,
    "leave": _leave,
    "give lock": _give_lock,
    "raise awkward": _raise_awkward,
    "give bomb": _give_bomb,
}
