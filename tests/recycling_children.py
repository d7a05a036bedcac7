"""What the tests of recycling and of spoilt reports run in workers. Light, as workers import it."""

# pathlib would be the largest import of a worker:
# ruff: noqa: PTH118, PTH123

from __future__ import annotations

import os

TYPE_CHECKING = False  # as `typing` has it
if TYPE_CHECKING:
    from typing import Any

_kept: list[Any] = []


def run_noted(work: tuple[Any, ...]) -> Any:
    """Run anything: ``(function, *arguments)``."""
    function, *arguments = work
    return function(*arguments)


async def run_noted_async(work: tuple[Any, ...]) -> Any:
    result = run_noted(work)
    return await result if hasattr(result, "__await__") else result


def note(directory: str, number: int) -> int:
    """Leave one byte in a file of this number's; return this process's id."""
    with open(os.path.join(directory, str(number)), "ab") as file:
        file.write(b".")
    return os.getpid()


def reserve(count: int) -> int:
    """Map so many bytes and touch none of them; return this process's id."""
    import mmap

    _kept.append(mmap.mmap(-1, count))
    return os.getpid()


def use(count: int) -> int:
    """Fill so many bytes of memory for good; return this process's id."""
    _kept.append(bytearray(b"x") * count)
    return os.getpid()


# A worker whose reports are spoilt. It takes knowing where they go; tasks do it by accident.


def scribble(client: Any, data: bytes, path: str) -> None:
    """Leave one byte in a file, and write some where only reports should go."""
    with open(path, "ab") as file:
        file.write(b".")
    os.write(client._reporter._descriptor, data)


def scribble_and_wait(client: Any, data: bytes, path: str) -> None:
    import signal

    scribble(client, data, path)
    while True:
        signal.pause()


def report_nonsense(client: Any, kind: int, body: bytes) -> None:
    """Report for this task what cannot be read."""
    from workpool import _frames as frames

    attempt = frames.attempt_number(client.task.id, 1)
    data = frames.REPORT.pack(len(body), kind, attempt, 0.0) + body
    os.write(client._reporter._descriptor, data)


def send_nonsense(_client: Any, content: bytes, fail: bool) -> bytes:
    """Have the next parcel of this worker be a file that is none: that of the result or the error."""
    from workpool._system.memory import anonymous_file
    from workpool._worker import reporter as module

    reporter: Any = module
    write_parcel = reporter.write_parcel

    def write_nonsense(*_: Any) -> int:
        reporter.write_parcel = write_parcel
        descriptor = anonymous_file("nonsense", 0)
        os.write(descriptor, content)
        return descriptor

    reporter.write_parcel = write_nonsense
    if fail:
        raise ValueError("x" * 2_000_000)
    return b"x" * 2_000_000


def large_result(_client: Any, size: int) -> bytes:
    return b"x" * size


def become_another_program(_client: Any) -> None:
    os.execlp("sleep", "sleep", "1000")


def noting_client(work: tuple[Any, ...], client: Any) -> Any:
    """Run a task, with the client if it wants that."""
    function, *arguments = work
    if function is scribble:
        return function(client, *arguments)
    return function(*arguments)
