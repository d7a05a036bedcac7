"""From stretches of bytes to what they say, in order, no faster than it is dealt with."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from workpool.channels._lines import Answer, LineFormat, LineSplitter, Malformed, Message
from workpool.channels._link import Link, weakly


class Owner(Protocol):
    """What a reader tells its channel."""

    def on_said(self, said: Message | Answer, size: int) -> None: ...
    def on_malformed(self, line: bytes, fault: str) -> None: ...
    def on_end_of_stream(self) -> None: ...
    def on_caught_up(self) -> None: ...


class Reader:
    """Reads one end of a channel, until the stream ends or it is stopped.

    Whoever a line wakes or starts gets a turn of the event loop before the next line is handled.
    So ``await channel.request("start")`` followed by ``await channel.listen_once("done")`` misses
    nothing, although both lines came in one stretch, and handlers begin in the order of the lines,
    whether sync or async.
    """

    link: Link

    def __init__(
        self,
        line_format: LineFormat,
        loop: asyncio.AbstractEventLoop,
        owner: Owner,
        must_wait: Callable[[], bool],
    ) -> None:
        """While `must_wait()` nothing more is handled, until `relieved`."""
        self.lines_read = 0
        self.at_end = False
        """Whether the other side has closed its end."""
        self._format = line_format
        self._loop = loop
        self._owner = owner
        self._must_wait = must_wait
        self._splitter = LineSplitter(line_format.line_limit)
        self._lines: deque[bytes] = deque()
        self._turn_due = False
        self._stopped = False

    def on_readable(self) -> None:
        """Read and handle one stretch."""
        self._read()

    def give_turn(self) -> None:
        """Let the event loop have its turn before the next line."""
        if not self._turn_due:
            self._turn_due = True
            self._loop.call_soon(weakly(self._after_turn))

    def read_to_end(self) -> bool:
        """Handle all there is; return False if something has to wait, until `on_caught_up`."""
        while self._read():
            pass
        return not self._lines and not self._turn_due

    def relieved(self) -> None:
        """Handle what had to wait."""
        if not self._turn_due:
            self._go_on()

    def stop(self) -> None:
        """Handle nothing any more."""
        self._stopped = True
        self._lines.clear()

    def unfinished(self) -> bytes:
        """Take out the beginning of a line that has not ended."""
        return self._splitter.rest()

    def _read(self) -> bool:
        """Read and handle one stretch; return whether there may be more to read now."""
        if self._lines or self._turn_due:
            return False
        data = self.link.read()
        if data:
            self._lines.extend(self._splitter.feed(data))
            return self._handle_lines()
        if data is not None:
            self._end()
        return False

    def _end(self) -> None:
        if not self.at_end:
            self.at_end = True
            self.link.stop_reading()
            self._owner.on_end_of_stream()

    def _after_turn(self) -> None:
        self._turn_due = False
        self._go_on()

    def _go_on(self) -> None:
        if self._handle_lines():
            if not self.at_end:
                self.link.start_reading()
            self._owner.on_caught_up()

    def _handle_lines(self) -> bool:
        """Handle the lines there are; return False if the rest must wait, or all is over."""
        while self._lines and not self._stopped:
            if self._must_wait():
                self.link.stop_reading()
                return False
            self.lines_read += 1
            self._handle(self._lines.popleft())
            if self._turn_due:
                return False
        return not self._stopped

    def _handle(self, line: bytes) -> None:
        if not line.strip():
            return
        try:
            self._owner.on_said(self._format.read(line), len(line))
        except Malformed as fault:
            self._owner.on_malformed(line, str(fault))
