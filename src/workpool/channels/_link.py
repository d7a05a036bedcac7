"""A socket in the event loop: stretches of bytes come in, lines go out as the other side takes them."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from typing import Any
from weakref import WeakMethod

UNSENT_LIMIT = 1 << 24
"""Bytes that may wait to be sent before more is refused: as much as one line by default."""

_STRETCH = 1 << 16


class Link:
    """One end of the socket. Knows no channel: what the loop holds of it keeps none alive."""

    def __init__(
        self,
        sock: socket.socket,
        loop: asyncio.AbstractEventLoop,
        on_readable: Callable[[], None],
    ) -> None:
        """Take over the socket; call `on_readable` (held weakly) when there is something to read."""
        self.unsent = 0
        """Bytes that wait to be sent."""
        self._socket = sock
        self._descriptor = sock.fileno()
        self._loop = loop
        self._on_readable = weakly(on_readable)
        self._outbox: deque[memoryview] = deque()
        self._waiting: list[asyncio.Future[None]] = []
        self._reading = False
        sock.setblocking(False)
        self.start_reading()

    @property
    def is_full(self) -> bool:
        """Whether so much waits already that no more may be added."""
        return self.unsent >= UNSENT_LIMIT

    def start_reading(self) -> None:
        """Have `on_readable` called again."""
        if not self._reading and self._descriptor >= 0:
            self._reading = True
            self._loop.add_reader(self._descriptor, self._on_readable)

    def stop_reading(self) -> None:
        """Leave what comes in the kernel, which makes the other side wait."""
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._descriptor)

    def read(self) -> bytes | None:
        """Return what has come: ``b""`` at the end, None if there is nothing now."""
        try:
            return self._socket.recv(_STRETCH)
        except BlockingIOError:
            return None
        except OSError:  # reset by the other side, or closed by ours
            return b""

    def write(self, line: bytes) -> None:
        """Send a line, now as far as the kernel takes it, the rest when it takes more.

        What is sent to an end that is gone is dropped: reading tells.
        """
        rest = memoryview(line)
        if not self._outbox:
            rest = rest[self._send(rest) :]
            if not rest:
                return
            self._loop.add_writer(self._descriptor, self.flush)
        self._outbox.append(rest)
        self.unsent += len(rest)

    def room(self) -> asyncio.Future[None]:
        """Return what is done when nothing waits here any more, or the link is closed.

        The kernel's buffer is full then, so the other side has something to read meanwhile.
        """
        future = self._loop.create_future()
        if not self.unsent:
            future.set_result(None)
        else:
            self._waiting = [waiting for waiting in self._waiting if not waiting.done()]
            self._waiting.append(future)
        return future

    def close(self) -> None:
        """Close this end; the other reads what was sent, then the end. Drops what waits."""
        if self._descriptor < 0:
            return
        if not self._loop.is_closed():
            self.stop_reading()
            self._loop.remove_writer(self._descriptor)
            self._give_room()
        self.drop()

    def drop(self) -> None:
        """Close this end without touching the event loop: it is closed, or another process's."""
        self._descriptor = -1
        self._reading = False
        self._outbox.clear()
        self.unsent = 0
        self._socket.close()

    def flush(self) -> None:
        """Send what waits, as far as the kernel takes it now."""
        while self._outbox:
            line = self._outbox[0]
            sent = self._send(line)
            self.unsent -= sent
            if sent < len(line):
                self._outbox[0] = line[sent:]
                break
            self._outbox.popleft()
        else:
            self._loop.remove_writer(self._descriptor)
            self._give_room()

    def _send(self, data: memoryview) -> int:
        """Return how much of it is done with."""
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            return len(data)

    def _give_room(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)


def weakly(method: Callable[..., object]) -> Callable[..., None]:
    """Return a function that calls a method as long as somebody holds its object.

    The event loop holds what it watches for; a channel that nobody holds shall go all the same.
    """
    reference: WeakMethod[Any] = WeakMethod(method)

    def call(*arguments: Any) -> None:
        bound = reference()
        if bound is not None:
            bound(*arguments)

    return call
