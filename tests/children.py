"""What the tests run in worker processes, and what they meet there. Light: workers import it.

At the top only what every worker has imported anyway, so not even `typing`; everything else where it
is used. Nearly every test starts workers: what this module costs, they all pay.
"""

# pathlib would be the largest import of a worker:
# ruff: noqa: PTH109, PTH118, PTH123

from __future__ import annotations

import os
import struct
import sys

from workpool.errors import TaskCancelled

TYPE_CHECKING = False  # as `typing` has it
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType
    from typing import Any, Self

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
        descriptor = os.open(self._passes, os.O_RDONLY)  # first: the test may be gone afterwards
        try:
            self.arrive()
            os.read(descriptor, 1)
        finally:
            os.close(descriptor)
        return os.getpid()

    def pass_holding_gil(self) -> int:
        """As `pass_through`, in one C call that never releases the GIL nor minds an interruption."""
        import ctypes
        import signal

        from workpool._system.status_page import INTERRUPTION

        read = ctypes.PyDLL(None).read
        descriptor = os.open(self._passes, os.O_RDONLY)
        buffer = ctypes.create_string_buffer(1)
        signal.pthread_sigmask(signal.SIG_BLOCK, {INTERRUPTION})
        try:
            self.arrive()
            read(descriptor, buffer, 1)
        finally:
            os.close(descriptor)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {INTERRUPTION})
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


def once(pool: WorkerPool[Any, Any], event: Any) -> asyncio.Future[tuple[Any, ...]]:
    """Return a future of the arguments with which an event happens next."""
    import asyncio

    happened: asyncio.Future[tuple[Any, ...]] = asyncio.get_running_loop().create_future()

    def listener(*details: Any) -> None:
        pool.remove_listener(event, listener)
        if not happened.done():
            happened.set_result(details)

    pool.on(event, listener)
    return happened


async def start_all(pool: WorkerPool[Any, Any], gate: Gate, count: int) -> None:
    """Have every worker ready and idle: as many tasks meet at the gate as there are workers."""
    import asyncio

    tasks = [pool.add_task((gate.pass_through,)) for _ in range(count)]
    await gate.arrived(count)
    gate.open(count)
    await asyncio.gather(*tasks)


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


class Lingering:
    """What a worker unpickles as an object whose destructor stops at a gate."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def __reduce__(self) -> tuple[type[_Lingers], tuple[Gate]]:
        return _Lingers, (self._gate,)


class _Lingers:
    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def __del__(self) -> None:
        self._gate.pass_through()


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


def given(*arguments: Any, **keywords: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return arguments, keywords


def identity(value: Any) -> Any:
    return value


def double(number: int) -> int:
    return number * 2


def divide(pair: tuple[int, int]) -> float:
    return pair[0] / pair[1]


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
    try:
        gate.arrive()  # interrupted before it is back, perhaps
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


def with_start_hook(
    function: Callable[..., Any], hook: Callable[[WorkerClient], Any]
) -> Callable[..., Any]:
    """Return an entrypoint that does what `function` does, in workers that ran the hook."""

    def run(argument: Any) -> Any:
        return function(argument)

    run.on_worker_start = hook  # type: ignore[attr-defined]
    return run


# Programs on their own, for the contracts of the kernel's objects: no worker, no pool


def program(function: Callable[..., Any], *arguments: Any) -> list[str]:
    """Return the command that calls a function of this module in a new interpreter."""
    call_it = f"from tests.children import *; {function.__name__}(*{arguments!r})"
    return [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}; {call_it}"]


def say_ready() -> None:
    """Tell whoever reads the standard output that it may go on."""
    os.write(1, b"ready\n")


def wait_for_ever() -> None:
    import signal

    while True:
        signal.pause()


def end_with(code: int) -> None:
    os._exit(code)


def take_all_tokens(read_end: int) -> None:
    """Take tokens until the queue is closed and empty; print their attempts."""
    import select

    cell, attempts = bytearray(16), []
    say_ready()
    while True:
        select.select([read_end], [], [])
        try:
            if not os.readv(read_end, [cell]):
                break
        except BlockingIOError:  # another one was faster
            continue
        attempts.append(struct.unpack_from("<Q", cell)[0])
    print(*attempts, flush=True)


def take_a_token_and_stay(read_end: int) -> None:
    os.readv(read_end, [bytearray(16)])
    say_ready()
    wait_for_ever()


def take_into_page_and_die(read_end: int, page: int, slots: int, slot: int, lane: int) -> None:
    """Take a token as a worker does, and end in the next instruction."""
    import signal

    from workpool._system.status_page import StatusPage

    view = StatusPage(page, slots, lane + 1)
    os.readv(read_end, [view.token_cell(slot, lane)])
    os.kill(os.getpid(), signal.SIGKILL)


def write_into_record(page: int, slots: int, lanes: int, slot: int, value: int) -> None:
    """Fill every field of one slot's record that a worker may write."""
    from workpool._system import status_page

    view = status_page.StatusPage(page, slots, lanes)
    for field in (status_page.IDLE, status_page.STOLEN):
        view.words[view.field(slot, field)] = value
    for lane in range(lanes):
        view.token_cell(slot, lane)[:] = struct.pack("<QII", value + lane, 0, 0)
        view.words[view.begun_index(slot, lane)] = value


def read_record(descriptor: int, offset: int, length: int) -> None:
    """Print a record of an arena."""
    from workpool._system.arena import map_arena

    os.write(1, map_arena(descriptor)[offset : offset + length])


def lay_on_belt(page_descriptor: int, slots: int, slot: int) -> None:
    """Lay a body with a buffer on a slot's belt and print the note about it."""
    from workpool._system.belt import Belt
    from workpool._system.memory import laid_out
    from workpool._system.status_page import StatusPage

    class Buffer:
        def raw(self) -> memoryview:
            return memoryview(b"b" * 20_000)

    note = Belt(StatusPage(page_descriptor, slots, 1), slot).lay(laid_out(b"pickle", [Buffer()]))
    os.write(1, (note or b"").hex().encode())


def fetch_parcel(locker: int) -> None:
    """Take the parcel out of a locker and print what is in it."""
    import socket

    from workpool._system import mail
    from workpool._system.memory import read_parcel

    _, descriptor = mail.receive(socket.socket(fileno=locker))
    assert descriptor is not None
    data, buffers = read_parcel(descriptor)
    os.write(1, bytes(data) + b"".join(bytes(buffer) for buffer in buffers))


def guarded(liveness: int, occupation: str) -> None:
    """Put the end of a liveness pipe in guard, then do something that cannot be interrupted."""
    from workpool._system.liveness import Liveness

    Liveness(liveness).guard()
    say_ready()
    globals()[occupation]()


def backtrack_for_ever() -> None:
    """Run one C call that takes longer than anybody waits and holds the GIL all the time."""
    import re

    re.match(r"(a+)+$", "a" * 60 + "b")


def block_signals() -> None:
    """Block every signal that can be, and wait for one."""
    import signal

    signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
    wait_for_ever()


def read_holding_gil() -> None:
    """Wait in the kernel for what never comes, without having released the GIL."""
    import ctypes

    read_end, _ = os.pipe()
    ctypes.PyDLL(None).read(read_end, ctypes.create_string_buffer(1), 1)


def busy_with_a_thread() -> None:
    """Have the main thread wait for one that computes."""
    import threading

    def compute() -> None:
        while True:
            pass

    threading.Thread(target=compute).start()


def relaxed(liveness: int) -> None:
    """Outlive the parent: wait for its end and say so."""
    import select

    from workpool._system.liveness import Liveness, ParentGone

    end = Liveness(liveness)
    end.guard()
    end.relax()
    say_ready()
    select.select([liveness], [], [])
    try:
        end.guard()
    except ParentGone:
        os.write(1, b"gone\n")


def run_a_pool(entrypoint_name: str, occupation: str | None) -> None:
    """Be the parent: print the ids of two workers, one of them occupied, and wait for the end."""
    import asyncio

    from workpool import WorkerPool

    async def main() -> None:
        pool: WorkerPool[Any, Any] = WorkerPool(
            f"tests.children:{entrypoint_name}", max_workers=2, min_workers=2
        )
        await pool.add_task((os.getpid,))
        os.write(1, f"{' '.join(str(worker.pid) for worker in pool.workers)}\n".encode())
        if occupation is None:
            say_ready()
        else:
            pool.add_task((say_ready_and, occupation))
        await asyncio.Event().wait()

    asyncio.run(main())


def say_ready_and(occupation: str) -> None:
    say_ready()
    globals()[occupation]()


def worker_id(client: WorkerClient) -> int:
    return client.worker_id


def spin(seconds: float) -> None:
    """Use up this much time."""
    import time

    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def describe_interpreter() -> None:
    """Print, as JSON, how this interpreter was started, and how it would start another."""
    import json

    from workpool._system.process import interpreter_command

    print(json.dumps({"command": interpreter_command(), **interpreter()}))


def describe_process() -> None:
    """Print, as JSON, what this process was given by the one that started it."""
    import json
    import signal

    blocked = [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])]
    found = {
        "blocked": blocked,
        "descriptors": open_descriptors(),
        "stdin": os.readlink("/proc/self/fd/0"),
        "environment": dict(os.environ),
    }
    print(json.dumps(found), flush=True)


def post_and_die(client: WorkerClient, kind: str, content: Any) -> None:
    client.post_message_to_pool(kind, content)
    os._exit(1)


def exit_with(_argument: Any) -> None:
    os._exit(1)


def count_and_die(path: str) -> None:
    with open(path, "a") as file:
        file.write(".")
    os._exit(1)


class Deadly:
    """Ends the process that unpickles it."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[int]]:
        return os._exit, (9,)


class ExitNote:
    """An exit hook that leaves a file."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def __call__(self, client: WorkerClient) -> None:
        with open(os.path.join(self.directory, f"exit-{os.getpid()}"), "w"):
            pass


def blocked_signals() -> set[int]:
    import signal

    return set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))


def not_callable() -> int:
    return NOT_CALLABLE


def loaded_modules_of(_argument: Any) -> list[str]:
    return loaded_modules()


def start_program() -> int:
    """Start a program that outlives this worker, in a session of its own; return its id."""
    import subprocess

    program = "import signal; signal.pause()"
    return subprocess.Popen(
        [sys.executable, "-c", program], close_fds=False, start_new_session=True
    ).pid


def post_from_threads(client: WorkerClient, threads: int, messages: int) -> None:
    """Have several threads send messages of several sizes at the same time."""
    from threading import Thread

    def send(thread: int) -> None:
        for number in range(messages):
            client.post_message_to_pool("note", (thread, number, b"x" * (number * 500)))

    started = [Thread(target=send, args=[thread]) for thread in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()


def post_unpicklable(client: WorkerClient) -> None:
    client.post_message_to_pool("note", Unpicklable())


def post_one_way(client: WorkerClient) -> None:
    client.post_message_to_pool("note", OneWayResult())


def pass_gate(_client: WorkerClient, gate: Gate) -> int:
    return gate.pass_through()


async def pass_gate_async(_client: WorkerClient, gate: Gate) -> int:
    return await gate.pass_async()


def say_error(text: str) -> None:
    say(text, error=True)


def say_unfinished(text: str) -> None:
    say(text, end="")


def say_and_die(text: str) -> None:
    print(text)
    os._exit(1)


def write_much(count: int) -> None:
    """Write a line without an end to the standard output, past all buffers of Python."""
    left = b"x" * count
    while left:
        left = left[os.write(1, left) :]


def log_unpicklable(name: str) -> None:
    import logging

    logging.getLogger(name).info("look: %s", Unpicklable(), extra={"more": Unpicklable()})


def append_byte(path: str) -> None:
    with open(path, "ab") as file:
        file.write(b".")


def raise_group() -> None:
    error = ValueError("one")
    error.add_note("a note")
    error.__cause__ = LookupError("the cause")
    raise ExceptionGroup("several", [error, OSError("two")])


def use_multiprocessing(method: str) -> list[int]:
    import multiprocessing

    with multiprocessing.get_context(method).Pool(2) as processes:
        return processes.map(double, range(3))


async def use_pool_async() -> list[int]:
    from workpool import WorkerPool

    pool: WorkerPool[int, int] = WorkerPool(double, max_workers=1)
    async with pool:
        return [result async for result in pool.map(range(3))]


def use_pool() -> list[int]:
    import asyncio

    return asyncio.run(use_pool_async())


def leave_thread(gate: Gate) -> None:
    from threading import Thread

    Thread(target=gate.pass_through, daemon=True).start()


def close_standard_streams() -> None:
    sys.stdout.close()
    sys.stderr.close()
    sys.stdin.close()


def fork_and_return() -> int:
    """Fork; the child returns as the task does, the parent returns the child's exit code."""
    pid = os.fork()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) if pid else 0


def fork_and_exit(code: int) -> int:
    """Fork; the child exits, the parent returns its exit code."""
    pid = os.fork()
    if not pid:
        sys.exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def close_descriptors_with_a_thread_running() -> None:
    """Close all that the worker holds, with a thread that would keep an interpreter from ending."""
    import threading

    threading.Thread(target=threading.Event().wait).start()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the traceback that follows is not for the test
    os.closerange(3, 500)


def leave_a_thread() -> None:
    """Start a thread that keeps an interpreter from ending."""
    import threading

    threading.Thread(target=threading.Event().wait).start()


_arrivals: list[Any] = []


async def together(work: tuple[int, bytes]) -> int:
    """Return when so many of these run at a time in this worker."""
    import asyncio

    count, _ = work
    arrival = asyncio.get_running_loop().create_future()
    _arrivals.append(arrival)
    if len(_arrivals) == count:
        for other in _arrivals:
            other.set_result(None)
    await arrival
    return count


def claim(client: WorkerClient, gate: Gate | None = None) -> tuple[Any, Any] | None:
    """Wait at the gate, if there is one, then claim the next task; return its key and argument."""
    if gate is not None:
        gate.pass_through()
    claimed = client.claim_next()
    again = client.claim_next()
    assert (claimed and claimed.id) == (again and again.id)
    return None if claimed is None else (claimed.key, claimed.argument)


def claim_and_wait(client: WorkerClient, gate: Gate) -> int:
    """Claim the next task, then wait at the gate; return the id of what was claimed."""
    claimed = client.claim_next()
    gate.pass_through()
    return -1 if claimed is None else claimed.id


def claim_in_thread(client: WorkerClient) -> str:
    from threading import Thread

    refusals: list[str] = []

    def run() -> None:
        try:
            client.claim_next()
        except RuntimeError as error:
            refusals.append(str(error))

    thread = Thread(target=run)
    thread.start()
    thread.join()
    return refusals[0]


def pid_with_client(client: WorkerClient, *_: Any) -> int:
    return os.getpid()


def claim_in_hook(client: WorkerClient) -> None:
    try:
        client.claim_next()
    except RuntimeError as error:
        client.state.refusal = str(error)


def refusal(client: WorkerClient) -> str:
    return str(client.state.refusal)
