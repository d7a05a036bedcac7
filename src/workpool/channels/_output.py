"""What a child process writes to its standard output and error, when it does not go there directly."""

from __future__ import annotations

import contextlib
import sys
from collections import deque
from collections.abc import Callable
from typing import Protocol

LineHandler = Callable[[str, str], object]
"""Called with the stream (``"stdout"`` or ``"stderr"``) and a line without its end."""

_LONGEST_LINE = 1 << 16
"""Bytes after which a line is passed on although it has not ended."""

_TAIL_LINES = 20
_TAIL_CHARACTERS = 2000


class Sink(Protocol):
    """Where the bytes of one stream go."""

    def feed(self, data: bytes) -> None: ...
    def finish(self) -> None: ...


class Tail:
    """The last lines of a stream: evidence when something went wrong."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=_TAIL_LINES)

    def add(self, line: str) -> None:
        """Remember a line."""
        self._lines.append(line[-_TAIL_CHARACTERS:])

    def __str__(self) -> str:
        return "\n".join(self._lines)[-_TAIL_CHARACTERS:]


class Lines:
    """Passes a stream on line by line."""

    def __init__(self, stream: str, handler: LineHandler, tail: Tail | None = None) -> None:
        self._stream = stream
        self._handler = handler
        self._tail = tail
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Pass on the lines that end here."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._pass_on(line)
        if len(self._rest) > _LONGEST_LINE:
            self.finish()

    def finish(self) -> None:
        """Pass on a last line that has not ended."""
        if self._rest:
            rest, self._rest = self._rest, b""
            self._pass_on(rest)

    def _pass_on(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").removesuffix("\r")
        if self._tail is not None:
            self._tail.add(text)
        self._handler(self._stream, text)


class Collected:
    """Keeps all of a stream."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """Keep it."""
        self._parts.append(data)

    def finish(self) -> None:
        """Nothing is left to do."""

    @property
    def data(self) -> bytes:
        """All there has been."""
        return b"".join(self._parts)


def print_plainly(stream: str, line: str) -> None:
    """Print a line where this process prints."""
    target = sys.stderr if stream == "stderr" else sys.stdout
    if target is not None:
        with contextlib.suppress(ValueError):  # closed meanwhile
            print(line, file=target, flush=True)


def printer(child: str) -> LineHandler:
    """Return what prints lines with the child in front."""
    return lambda stream, line: print_plainly(stream, f"[{child}] {line}")


def last_lines(data: bytes) -> str:
    """Return the end of what was written, for a message."""
    lines = data[-4 * _TAIL_CHARACTERS :].decode("utf-8", "replace").splitlines()
    return "\n".join(lines[-_TAIL_LINES:])[-_TAIL_CHARACTERS:]
