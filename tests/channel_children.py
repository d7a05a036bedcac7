"""What the tests of channels run in child processes. Light, as `tests.children` is."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time

TYPE_CHECKING = False  # as `typing` has it
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from workpool.channels import ChildChannel, ParentChannel

_COROUTINE = 0x80


def command(function: Callable[..., Any], *arguments: Any) -> list[str]:
    """Return the command that calls a function of this module in a new interpreter."""
    call = f"c.{function.__name__}(*{arguments!r})"
    if function.__code__.co_flags & _COROUTINE:
        call = f"import asyncio; asyncio.run({call})"
    setup = f"import sys; sys.path[:] = {sys.path!r}; from tests import channel_children as c"
    return [sys.executable, "-S", "-c", f"{setup}; {call}"]


def with_descriptor(function: Callable[..., Any], descriptor: int) -> list[str]:
    """Return the command of a function of the path of a descriptor: channels' are all it inherits."""
    return command(function, f"/proc/{os.getpid()}/fd/{descriptor}")


class Unusual(Exception):
    """An error that takes two arguments, and a class that JSON does not know."""

    def __init__(self, what: str, count: int) -> None:
        super().__init__(what, count)
        self.count = count


async def serve() -> None:
    """Serve everything the tests ask for, until the channel ends; then say so."""
    import asyncio

    from workpool.channels import ChildChannel

    async with ChildChannel() as channel:
        channel.listen_for("double", lambda number: 2 * number)
        channel.listen_for("echo", lambda content: content)
        channel.listen_for("type", lambda content: type(content).__name__)
        channel.listen_for("raise", _raise)
        channel.listen_for("exit", os._exit)
        channel.listen_for("kill", lambda number: os.kill(os.getpid(), number))
        channel.listen_for("print", lambda text: print(text, file=sys.stderr, flush=True))
        channel.listen_for("never", lambda _: asyncio.get_running_loop().create_future())
        channel.listen_for("block", lambda _: time.sleep(1000))
        channel.listen_for("set", lambda _: {1, 2})
        channel.listen_for("count", lambda count: _count(channel, count))
        channel.listen_for("ask", lambda content: channel.request("question", content))
        channel.listen_for("environment", os.environ.get)
        channel.listen_for("where", lambda _: os.path.realpath("."))
        channel.listen_for("start", lambda _: os.posix_spawn("/bin/sleep", ["sleep", "1000"], {}))
        channel.send("ready", os.getpid())
        await channel.closed()
    print("served", flush=True)


def _count(channel: ChildChannel, count: int) -> None:
    for number in range(count):
        channel.send("number", number)


def _raise(name: str) -> None:
    if name == "Unusual":
        raise Unusual("odd", 3)
    raise {"ValueError": ValueError, "SystemExit": SystemExit, "StopIteration": StopIteration}[
        name
    ](f"no {name}")


async def leave_and_stay() -> None:
    """Say something, close the channel, go on running."""
    import asyncio

    from workpool.channels import ChildChannel

    async with ChildChannel() as channel:
        channel.send("bye", "last words")
    await asyncio.sleep(1000)


async def leave_when_told() -> None:
    """Close the channel in a handler, go on running."""
    import asyncio

    from workpool.channels import ChildChannel

    channel = ChildChannel()

    def leave(_: object) -> None:
        channel.send("bye", "last words")
        channel.leave()

    channel.listen_for("leave", leave)
    await channel.closed()
    await asyncio.sleep(1000)


async def talk_fast() -> None:
    """Send more messages than anybody can wait for one by one, in one stretch."""
    from workpool.channels import ChildChannel

    async with ChildChannel() as channel:

        def say_all(count: int) -> str:
            for number in range(count):
                channel.send(f"number {number}", number)
            return "said"

        channel.listen_for("say all", say_all)
        await channel.closed()


async def count_bytes() -> None:
    """Count the messages of type ``"big"`` and their bytes."""
    from workpool.channels import ChildChannel

    counted = [0, 0]
    async with ChildChannel() as channel:

        def count(content: str) -> None:
            counted[0] += 1
            counted[1] += len(content)

        channel.listen_for("big", count)
        channel.listen_for("counted", lambda _: counted)
        await channel.closed()


async def collect() -> None:
    """Note every number that comes, and tell them all when asked."""
    import asyncio

    from workpool.channels import ChildChannel

    numbers: list[int] = []
    async with ChildChannel() as channel:

        async def note_later(number: int) -> None:
            numbers.append(number)
            await asyncio.sleep(0)

        channel.listen_for("note", numbers.append)
        channel.listen_for("note later", note_later)
        channel.listen_for("notes", lambda _: numbers)
        channel.send("ready")
        await channel.closed()


async def talk_at_once() -> None:
    """Ask the parent a question, as the first thing, and answer what the parent asks meanwhile."""
    from workpool.channels import ChildChannel

    async with ChildChannel() as channel:
        channel.listen_for("answer", lambda _: 42)
        answer = await channel.request("question", "life")
        channel.send("got", answer)
        await channel.closed()


def write(data: bytes, then: str = "wait") -> None:
    """Write something to the channel as it is, without any code of the library."""
    channel = socket.socket(fileno=int(os.environ["WORKPOOL_CHANNEL_FD"]))
    channel.sendall(data)
    while then == "wait" and channel.recv(1 << 16):
        pass
    while then == "stay":
        signal.pause()


def write_numbers(count: int) -> None:
    """Write so many messages at once, and end."""
    lines = b"".join(b'{"type": "number", "content": %d}\n' % n for n in range(count))
    socket.socket(fileno=int(os.environ["WORKPOOL_CHANNEL_FD"])).sendall(lines)


def answer(template: str, then: str = "end") -> None:
    """Answer each line with a line of this text, in which NUMBER stands for the number asked."""
    channel = socket.socket(fileno=int(os.environ["WORKPOOL_CHANNEL_FD"]))
    for number, _ in enumerate(channel.makefile("r"), start=1):
        channel.sendall(template.replace("NUMBER", str(number)).encode() + b"\n")
    while then == "stay":
        signal.pause()


def read_when_told(path: str) -> None:
    """Read nothing until a byte comes from elsewhere; then count all lines until the end."""
    channel = socket.socket(fileno=int(os.environ["WORKPOOL_CHANNEL_FD"]))
    os.read(os.open(path, os.O_RDONLY), 1)
    for count, line in enumerate(channel.makefile("rb"), start=1):
        if b'"last"' in line:
            channel.sendall(b'{"type": "done", "content": %d}\n' % count)


def flood(line: str, count: int) -> None:
    """Write so many lines, then one of type ``"end"``, as fast as they are taken."""
    channel = socket.socket(fileno=int(os.environ["WORKPOOL_CHANNEL_FD"]))
    stretch = f"{line}\n".encode() * 1000
    for _ in range(count // 1000):
        channel.sendall(stretch)
    channel.sendall(b'{"type": "end"}\n')
    channel.recv(1)


async def ask_and_not_read(count: int) -> None:
    """Ask so many questions, and read no answer for ever."""
    channel = socket.socket(fileno=int(os.environ["WORKPOOL_CHANNEL_FD"]))
    for number in range(count):
        channel.sendall(b'{"type": "big", "request": %d}\n' % number)
    time.sleep(1000)


def be_a_parent(occupation: str) -> None:
    """Start a child, tell its process id and what it has started, and wait for ever."""
    import asyncio

    asyncio.run(_be_a_parent(occupation))


async def _be_a_parent(occupation: str) -> None:
    import asyncio

    from workpool.channels import ParentChannel

    channel = ParentChannel(command(serve))
    child = await channel.listen_once("ready")
    grandchild = await channel.request("start")
    print(child, grandchild, flush=True)
    if occupation == "end":
        return
    if occupation == "raise":
        raise KeyboardInterrupt
    if occupation != "idle":
        channel.send(occupation)
    await asyncio.sleep(1000)


def end_with_a_channel() -> None:
    """Hold a channel in a global variable when the interpreter ends."""
    import asyncio

    from workpool.channels import ParentChannel

    global held

    async def start() -> ParentChannel:
        channel = ParentChannel(command(serve))
        print(await channel.listen_once("ready"), flush=True)
        return channel

    held = asyncio.run(start())


held: ParentChannel


async def without_channel() -> None:
    """Take the channel twice; tell what happens."""
    from workpool.channels import ChildChannel

    async with ChildChannel() as channel:
        try:
            ChildChannel()
        except Exception as error:
            channel.send("error", [type(error).__name__, str(error)])
        await channel.closed()


# A program that works for a pool


def work() -> None:
    """Say that it is ready, then do what each request says, in plain JSON and one after the other."""
    import json

    channel = socket.socket(fileno=int(os.environ["WORKPOOL_CHANNEL_FD"]))
    channel.sendall(b'{"type": "ready"}\n')
    for line in channel.makefile():
        asked = json.loads(line)
        name, *arguments = asked["content"]
        answer = {"answer": asked["request"], "content": WORK[name](*arguments)}
        channel.sendall(json.dumps(answer).encode() + b"\n")


async def until_ready(channel: ParentChannel) -> None:
    """The `init` handler of such a program."""
    await channel.listen_once("ready", timeout=20)


async def have_done(channel: ParentChannel, work: tuple[Any, ...]) -> Any:
    """The `execute` handler of such a program."""
    return await channel.request("work", work)


def _die_the_first_time(path: str) -> int:
    from tests.children import first_time

    if first_time(path):
        os._exit(7)
    return os.getpid()


def _wait_at_gate(directory: str) -> int:
    from tests.children import Gate

    return Gate(directory).pass_through()


WORK: dict[str, Callable[..., Any]] = {
    "double": lambda number: 2 * number,
    "process id": os.getpid,
    "exit": os._exit,
    "kill": lambda number: os.kill(os.getpid(), number),
    "print": lambda text: print(text, flush=True),
    "die the first time": _die_the_first_time,
    "wait at gate": _wait_at_gate,
    "sleep": time.sleep,
}
