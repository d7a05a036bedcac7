"""What the tests run in worker processes, and what they meet there. Light: workers import it.

Only the standard library's small modules at the top; everything else is imported where it is used.
"""

# pathlib would be the largest import of a worker:
# ruff: noqa: PTH109, PTH118, PTH123

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from workpool import TaskCancelled, entrypoint

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

    from workpool import WorkerClient, WorkerPool

NOT_CALLABLE = 42

_ARRIVAL = struct.Struct("<q")


class Gate:
    """A place where tasks stop until the test lets them go on: two named pipes.

    Whoever arrives writes its process id into the one, then waits for a byte from the other. Tasks
    get the gate as an argument; only the test's side has the pipes open all the time.
    """

    def __init__(self, directory: Path | str, name: str = "gate") -> None:
        self._arrivals = os.path.join(directory, f"{name}.arrivals")
        self._passes = os.path.join(directory, f"{name}.passes")
        self._ends: list[int] = []

    def __reduce__(self) -> tuple[type[Gate], tuple[str, str]]:
        directory, name = os.path.split(self._arrivals)
        return Gate, (directory, name.removesuffix(".arrivals"))

    # In the task

    def arrive(self) -> None:
        """Tell the test that this process is here; go on at once."""
        descriptor = os.open(self._arrivals, os.O_WRONLY)
        try:
            os.write(descriptor, _ARRIVAL.pack(os.getpid()))
        finally:
            os.close(descriptor)

    def pass_through(self) -> int:
        """Arrive, wait to be let through, return this process's id."""
        self.arrive()
        descriptor = os.open(self._passes, os.O_RDONLY)
        try:
            os.read(descriptor, 1)
        finally:
            os.close(descriptor)
        return os.getpid()

    def pass_holding_gil(self) -> int:
        """As `pass_through`, in one C call that never releases the GIL."""
        import ctypes

        read = ctypes.PyDLL(None).read
        descriptor = os.open(self._passes, os.O_RDONLY)
        buffer = ctypes.create_string_buffer(1)
        self.arrive()
        try:
            read(descriptor, buffer, 1)
        finally:
            os.close(descriptor)
        return os.getpid()

    async def pass_async(self) -> int:
        """As `pass_through`, without blocking the event loop."""
        descriptor = os.open(self._passes, os.O_RDONLY | os.O_NONBLOCK)
        try:
            self.arrive()
            while True:
                await readable(descriptor)
                try:
                    os.read(descriptor, 1)
                except BlockingIOError:  # another one was faster
                    continue
                return os.getpid()
        finally:
            os.close(descriptor)

    # In the test

    def __enter__(self) -> Self:
        for path in (self._arrivals, self._passes):
            os.mkfifo(path)
            self._ends.append(os.open(path, os.O_RDWR | os.O_NONBLOCK))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        for descriptor in self._ends:
            os.close(descriptor)

    def open(self, count: int = 1) -> None:
        """Let so many through."""
        os.write(self._ends[1], b"." * count)

    async def arrived(self, count: int = 1) -> list[int]:
        """Wait until so many have arrived; return their process ids."""
        pids = self.look(count)
        while len(pids) < count:
            await readable(self._ends[0])
            pids += self.look(count - len(pids))
        return pids

    def arrived_blocking(self, count: int = 1, patience: float = 20.0) -> list[int]:
        """As `arrived`, with the whole thread blocked meanwhile. Raises `TimeoutError`."""
        import select

        pids: list[int] = []
        while len(pids) < count:
            if not select.select([self._ends[0]], [], [], patience)[0]:
                raise TimeoutError(f"only {len(pids)} of {count} arrived")
            pids += self.look(count - len(pids))
        return pids

    def look(self, most: int = 1 << 10) -> list[int]:
        """Return the ids of those that have arrived and not been returned yet, now."""
        try:
            data = os.read(self._ends[0], _ARRIVAL.size * most)
        except BlockingIOError:
            return []
        return [pid for (pid,) in _ARRIVAL.iter_unpack(data)]


async def readable(descriptor: int) -> None:
    """Wait until there is something to read."""
    import asyncio

    ready = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)


# For the tests


def once(pool: WorkerPool[Any, Any], event: str) -> asyncio.Future[tuple[Any, ...]]:
    """Return a future of the arguments with which an event happens next."""
    import asyncio

    happened: asyncio.Future[tuple[Any, ...]] = asyncio.get_running_loop().create_future()

    def listener(*details: Any) -> None:
        pool.remove_listener(event, listener)
        happened.set_result(details)

    pool.on(event, listener)
    return happened


async def end_of(pid: int) -> None:
    """Wait until a process, anybody's, has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        await readable(descriptor)
    finally:
        os.close(descriptor)


def is_alive(pid: int) -> bool:
    """Whether there is such a process, and it is more than a zombie."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


# Entrypoints


def call(work: tuple[Any, ...]) -> Any:
    """Run anything: ``(function, *arguments)``."""
    function, *arguments = work
    return function(*arguments)


def call_with_client(work: tuple[Any, ...], client: WorkerClient) -> Any:
    """Run anything that wants the client: ``(function, *arguments)``."""
    function, *arguments = work
    return function(client, *arguments)


async def call_async(work: tuple[Any, ...]) -> Any:
    """Run anything, and await what is awaitable: ``(function, *arguments)``."""
    function, *arguments = work
    result = function(*arguments)
    return await result if hasattr(result, "__await__") else result


def identity(value: Any) -> Any:
    return value


def double(number: int) -> int:
    return number * 2


async def double_async(number: int) -> int:
    return number * 2


def double_with_client(number: int, client: WorkerClient) -> tuple[int, int]:
    return number * 2, client.worker_id


async def double_async_with_client(number: int, client: WorkerClient) -> tuple[int, int]:
    return number * 2, client.worker_id


class Doubler:
    """An entrypoint in a class: as a method, a static method, or an instance that is called."""

    @staticmethod
    def static(number: int) -> int:
        return number * 2

    @classmethod
    def of_class(cls, number: int) -> int:
        return number * 2

    def method(self, number: int) -> int:
        return number * 2

    def __call__(self, number: int) -> int:
        return number * 2


# Hooks: what they see is in the worker's state, and what they say is sent to the pool.


def note_start(client: WorkerClient) -> None:
    client.state.notes = ["start"]
    client.post_message_to_pool("hook", "start")


def note_exit(client: WorkerClient) -> None:
    client.post_message_to_pool("hook", "exit")


def note_before(argument: Any, client: WorkerClient) -> None:
    client.state.notes.append(("before", argument))


def notes(argument: Any, client: WorkerClient) -> list[Any]:
    """Return what has happened in this worker so far."""
    client.state.notes.append(("run", argument))
    return list(client.state.notes)


async def notes_async(argument: Any, client: WorkerClient) -> list[Any]:
    return notes(argument, client)


async def note_start_async(client: WorkerClient) -> None:
    note_start(client)


async def note_exit_async(client: WorkerClient) -> None:
    note_exit(client)


async def note_before_async(argument: Any, client: WorkerClient) -> None:
    note_before(argument, client)


def attributed(argument: Any, client: WorkerClient) -> list[Any]:
    return notes(argument, client)


attributed.module_path = __file__  # type: ignore[attr-defined]
attributed.module_symbol = "attributed"  # type: ignore[attr-defined]
attributed.on_worker_start = note_start  # type: ignore[attr-defined]
attributed.on_worker_exit = note_exit  # type: ignore[attr-defined]
attributed.pre_task = note_before  # type: ignore[attr-defined]


@entrypoint
def decorated(argument: Any, client: WorkerClient) -> list[Any]:
    return notes(argument, client)


decorated.on_worker_start(note_start)
decorated.on_worker_exit(note_exit)
decorated.pre_task(note_before)


def raise_in_hook(*_: Any) -> None:
    raise ValueError("the hook does not like it here")


# Failures


class Unpicklable:
    """Cannot be pickled by anybody."""

    def __reduce__(self) -> Any:
        raise TypeError("this stays where it is")

    def __repr__(self) -> str:
        return "<Unpicklable thing>"


class OneWayError(Exception):
    """Can be pickled, cannot be unpickled: its constructor wants more than pickle remembers."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


class HeldError(Exception):
    """Cannot be pickled."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.held = Unpicklable()


class OneWayResult:
    """Can be pickled, cannot be unpickled."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return raise_value_error, ("there is no way back",)


def raise_value_error(message: str) -> None:
    raise ValueError(message)


def raise_error(kind: type[BaseException], *arguments: Any) -> None:
    raise kind(*arguments)


def make(kind: type[Any], *arguments: Any) -> Any:
    return kind(*arguments)


def kill_self(number: int) -> None:
    os.kill(os.getpid(), number)


def read_address_zero() -> None:
    """End this process by a segmentation fault."""
    import ctypes

    ctypes.string_at(0)


def first_time(path: str) -> bool:
    """Whether this is the first call with this path, in any process."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def die_the_first_times(directory: str, deaths: int) -> int:
    """End this process, so many times; then return its id."""
    for death in range(deaths):
        if first_time(os.path.join(directory, f"death-{death}")):
            os._exit(7)
    return os.getpid()


def fail_the_first_times(directory: str, failures: int) -> int:
    """Raise, so many times; then return the number of failures."""
    for failure in range(failures):
        if first_time(os.path.join(directory, f"failure-{failure}")):
            raise ValueError(f"failure {failure}")
    return failures


# Interruption


def pass_or_note(gate: Gate, path: str) -> None:
    """Wait at a gate; write the name of what interrupts the wait into a file and let it pass."""
    try:
        gate.pass_through()
    except BaseException as error:
        with open(path, "w") as file:
            file.write(type(error).__name__)
        raise


async def pass_or_note_async(gate: Gate, path: str) -> None:
    try:
        await gate.pass_async()
    except BaseException as error:
        with open(path, "w") as file:
            file.write(type(error).__name__)
        raise


def swallow(gate: Gate, second: Gate) -> int:
    """Wait at a gate; when interrupted there, go on to the second."""
    try:
        return gate.pass_through()
    except TaskCancelled:
        return second.pass_through()


async def swallow_async(gate: Gate, second: Gate) -> int:
    import asyncio

    try:
        return await gate.pass_async()
    except asyncio.CancelledError:
        return await second.pass_async()


# The process itself


def interpreter() -> dict[str, Any]:
    """Describe the interpreter this runs in."""
    return {
        "executable": sys.executable,
        "flags": list(sys.flags),
        "warnoptions": sys.warnoptions,
        "xoptions": sys._xoptions,
        "path": sys.path,
        "cwd": os.getcwd(),
        "environment": dict(os.environ),
    }


def loaded_modules() -> list[str]:
    return sorted(sys.modules)


def open_descriptors() -> dict[int, str]:
    """Return the open descriptors of this process above the standard three."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # that of the listing itself
            continue
    return {number: what for number, what in found.items() if number > 2}


def descriptors_of_a_program() -> dict[int, str]:
    """Return the descriptors of a program started from here without any care about them."""
    import json
    import subprocess

    program = "import json; from tests.children import *; print(json.dumps(open_descriptors()))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    output = subprocess.run(
        [sys.executable, "-c", program],
        close_fds=False,
        stdout=subprocess.PIPE,
        env=environment,
        check=True,
    ).stdout
    return {int(number): what for number, what in json.loads(output).items()}


def descriptors_after_fork() -> dict[int, str]:
    """Return the descriptors of a child forked from here, but for the pipe it tells them through."""
    import json

    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(read_end)
            found = open_descriptors()
            found.pop(write_end)
            os.write(write_end, json.dumps(found).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    with open(read_end, "rb") as file:
        data = file.read()
    os.waitpid(child, 0)
    return {int(number): what for number, what in json.loads(data).items()}


def hold_bytes(client: WorkerClient, count: int) -> int:
    """Let this worker's memory grow for good; return its process's id."""
    client.state.held = bytearray(b"x") * count
    return os.getpid()


def process_id(_client: WorkerClient) -> int:
    return os.getpid()


# Output


def say(text: str, *, end: str = "\n", error: bool = False) -> None:
    print(text, end=end, file=sys.stderr if error else sys.stdout, flush=True)


def write_raw(data: bytes) -> int:
    return os.write(1, data)


def say_and_pass(text: str, gate: Gate) -> int:
    print(text)
    return gate.pass_through()


def log(name: str, level: int, message: str, *arguments: Any) -> int:
    """Log a record; return this process's id."""
    import logging

    logging.getLogger(name).log(level, message, *arguments)
    return os.getpid()


def log_exception(name: str) -> None:
    import logging

    try:
        raise_value_error("to be logged")
    except ValueError:
        logging.getLogger(name).exception("it went wrong")


# Messages


def post(client: WorkerClient, kind: str, *contents: Any) -> int:
    for content in contents:
        client.post_message_to_pool(kind, content)
    return client.worker_id


def keep_messages(client: WorkerClient) -> None:
    """A start hook: keep the contents of every "note" in the order in which they come."""
    client.state.kept = []
    client.on_message("note", keep)


def keep(content: Any, client: WorkerClient) -> None:
    client.state.kept.append(content)


def forget_messages(client: WorkerClient) -> None:
    client.remove_message_listener("note", keep)


def echo_messages(client: WorkerClient) -> None:
    """A start hook: send the content of every "ask" back as an "answer"."""
    client.on_message("ask", echo)
    client.on_message("raise", raise_in_handler)


def echo(content: Any, client: WorkerClient) -> None:
    client.post_message_to_pool("answer", content)


def echo_messages_async(client: WorkerClient) -> None:
    client.on_message("ask", echo_async)


async def echo_async(content: Any, client: WorkerClient) -> None:
    client.post_message_to_pool("answer", content)


def raise_in_handler(content: Any, client: WorkerClient) -> None:
    raise ValueError(f"the handler does not like {content!r}")


def kept_messages(client: WorkerClient) -> list[Any]:
    return list(client.state.kept)


def poll_until(client: WorkerClient, last: Any, gate: Gate) -> list[Any]:
    """Stay in this one task, handling messages, until a certain one has come."""
    gate.arrive()
    while last not in client.state.kept:
        client.poll_messages()
    return list(client.state.kept)


def task_info(client: WorkerClient) -> tuple[int, Any, Any]:
    assert client.task is not None
    return client.task.id, client.task.key, client.task.meta


async def call_async_with_client(work: tuple[Any, ...], client: WorkerClient) -> Any:
    """Run anything that wants the client, and await what is awaitable."""
    function, *arguments = work
    result = function(client, *arguments)
    return await result if hasattr(result, "__await__") else result


def note_nothing(_argument: Any, _client: WorkerClient) -> None:
    """A pre_task hook that only takes its time."""


def spin_or_note(gate: Gate, path: str) -> None:
    """Compute for ever; write the name of what interrupts that into a file and let it pass."""
    gate.arrive()
    try:
        while True:
            pass
    except BaseException as error:
        with open(path, "w") as file:
            file.write(type(error).__name__)
        raise


def stuck_the_first_time(gate: Gate, path: str) -> str:
    if first_time(path):
        gate.pass_through()
    return "second"
