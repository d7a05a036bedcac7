"""Tiny tasks for tests of batches: what to do is said in a string, which tasks may share."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # as `typing` has it
if TYPE_CHECKING:
    from typing import Any


def do(order: str) -> Any:
    """Do one of the things below: its name, then what it needs."""
    name, _, rest = order.partition(" ")
    return globals()[f"_{name}"](rest)


def record(number: int) -> int:
    """Note the start and the end of a task; return its number."""
    descriptor = _record()
    os.write(descriptor, b"start %d\n" % number)
    os.write(descriptor, b"end %d\n" % number)
    return number


def _record() -> int:
    if not _open_record:
        _open_record.append(os.open(os.environ["BATCH_RECORD"], os.O_WRONLY | os.O_APPEND))
    return _open_record[0]


_open_record: list[int] = []


def _echo(text: str) -> str:
    return text


def _telling(text: str) -> Telling:
    return Telling(text)


class Telling:
    """A result that tells of it when it is unpickled, in the pool's process, and is a text from then on."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __reduce__(self) -> tuple[Any, ...]:
        return _tell, (self._text,)


told: list[Any] = []
"""Whom such results tell: functions that get the text."""


def _tell(text: str) -> str:
    for listener in told:
        listener(text)
    return text


def _nothing(_: str) -> None:
    return None


def _list(text: str) -> list[str]:
    return [text]


def _long(text: str) -> str:
    return text * 200


def _large(text: str) -> bytes:
    return text.encode() * 100_000


def _unpicklable(_: str) -> Any:
    return (line for line in "")


def _raise(text: str) -> None:
    raise ValueError(text)


def _exit(text: str) -> None:
    raise SystemExit(text)


def _die(_: str) -> None:
    os._exit(3)


def _coroutine(text: str) -> Any:
    async def late() -> str:
        return text

    return late()


def _fork(text: str) -> str:
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
    return text


def _pid(_: str) -> int:
    return os.getpid()


def _gate(place: str) -> int:
    from tests.children import Gate

    return Gate(*place.split()).pass_through()


def _hold(place: str) -> None:
    """Wait at a gate in C, holding the GIL."""
    from tests.children import Gate

    Gate(*place.split()).pass_holding_gil()


def _once(path: str) -> str:
    """Fail the first time, in whatever process."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return "the second time"
    raise ValueError("the first time")
