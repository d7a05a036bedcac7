"""What both ends of a channel have in common: messages, requests, waits, order, limits."""

from __future__ import annotations

import asyncio
import socket
from _thread import get_ident
from collections.abc import Callable
from typing import Any

from workpool._checks import check_seconds
from workpool._serialization import brief
from workpool.channels._forks import let_go_when_forked
from workpool.channels._handlers import Handlers
from workpool.channels._lines import Answer, LineFormat, Malformed, Message
from workpool.channels._link import UNSENT_LIMIT, Link
from workpool.channels._reader import Reader
from workpool.channels._responder import Responder
from workpool.channels._waits import Waits
from workpool.errors import ChannelClosed, ChannelFull, ChannelTimeout, SerializationError

DEFAULT_TIMEOUT = 60.0
"""Seconds every wait is limited to unless told otherwise: more than an answer takes, short enough to
find out about a child that hangs."""

_UNHEARD_TYPES = 50
"""How many types of unheard messages are remembered, as evidence."""


class Channel:
    """One end of a channel. Belongs to one event loop and its thread."""

    def __init__(
        self,
        sock: socket.socket,
        line_format: LineFormat,
        timeout: float,
        peer: str,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._loop = loop
        self._thread = get_ident()
        self._timeout = timeout
        self._peer = peer
        self._format = line_format
        self._unheard: dict[str, int] = {}
        self._numbers = 0
        self._answers: dict[int, tuple[asyncio.Future[Any], str]] = {}
        self._once: dict[str, list[asyncio.Future[Any]]] = {}
        self._waits = Waits(self._loop, self._too_late)
        self._responder = Responder(line_format)
        self._handlers = Handlers(loop, self._responder)
        self._responder.hold = self._handlers.later
        self._end: ChannelClosed | None = None
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._reader = Reader(line_format, loop, self, self._handlers.are_full)
        self._link = Link(sock, self._loop, self._reader.on_readable)
        self._handlers.on_start = self._reader.give_turn
        self._handlers.on_relief = self._reader.relieved
        self._reader.link = self._responder.link = self._link
        let_go_when_forked(self)

    @property
    def active(self) -> bool:
        """Whether messages can be sent and can come: neither side has closed, the child lives."""
        return self._end is None and not self._reader.at_end

    def send(self, type: str, content: Any = None) -> None:  # noqa: A002
        """Send a message; returns at once. Messages and requests arrive in the order they were sent.

        What the other side does not read yet waits here, up to 16 MiB; then this raises
        `ChannelFull`: `await drain()` now and then where much is sent. Raises `ChannelClosed`, and
        `SerializationError` for a content that cannot be sent.
        """
        doing = f"sending {type!r}"
        if get_ident() != self._thread:
            raise RuntimeError(
                f"{doing} failed: a channel belongs to its event loop, and this is another thread. "
                "Use loop.call_soon_threadsafe(channel.send, type, content)."
            )
        self._check_active(doing)
        line = self._format.message(_checked_type(type), content)
        if self._link.is_full:
            self._link.flush()  # perhaps it is only the event loop that has not had a turn
        if self._link.is_full:
            raise ChannelFull(
                f"{doing} failed: {self._peer} has not read what was sent before, "
                f"{self._link.unsent} bytes wait to be sent to it (the limit is {UNSENT_LIMIT}). Use "
                "'await drain()' between sends; if that takes too long, look at what it is busy with."
            )
        self._link.write(line)

    async def drain(self, timeout: float | None = None) -> None:
        """Wait until all that was sent is on its way: what the other side has not read fits the kernel.

        Raises `ChannelTimeout` after `timeout` seconds (None: the channel's), `ChannelClosed`.
        """
        doing = "waiting for room to send"
        self._check_loop(doing)
        self._check_active(doing)
        await self._wait_for_room(doing, self._seconds(timeout))

    def listen_for(self, type: str, handler: Callable[[Any], Any]) -> None:  # noqa: A002
        """Call ``handler(content)``, sync or async, for each message and request of this type.

        What it returns answers a request; what it raises is raised where the request was made. Sync
        handlers, and async ones up to their first `await`, run in the order in which messages came.
        With several handlers of a type all are called, in the order in which they were registered,
        and the first one answers. A message nobody listens for is dropped; a request nobody listens
        for fails. What a handler of a message raises goes to the event loop's exception handler.
        """
        self._handlers.add(_checked_type(type), handler)

    def remove_listener(self, type: str, handler: Callable[[Any], Any]) -> None:  # noqa: A002
        """Take a handler back; `ValueError` if it is not registered."""
        self._handlers.listeners.remove(type, handler)

    async def listen_once(self, type: str, timeout: float | None = None) -> Any:  # noqa: A002
        """Wait for the next message of this type and return its content.

        Raises `ChannelTimeout` after `timeout` seconds (None: the channel's; ``math.inf``: no
        limit), and `ChannelClosed` if the channel ends before. What came before the call is missed.
        """
        doing = f"waiting for {_checked_type(type)!r}"
        seconds = self._seconds(timeout)
        self._check_loop(doing)
        self._check_open(doing)
        future = self._loop.create_future()
        self._once.setdefault(type, []).append(future)
        try:
            return await self._waits.wait(future, doing, seconds)
        finally:
            if future in (waiting := self._once.get(type, [])):
                waiting.remove(future)
                if not waiting:
                    del self._once[type]

    async def request(
        self,
        type: str,  # noqa: A002
        content: Any = None,
        timeout: float | None = None,
    ) -> Any:
        """Ask the other side and return what its handler of this type returns.

        Raises `RequestFailed` if that handler raises or there is none (between Python processes
        with ``pickled=True`` the handler's exception itself), `ChannelTimeout` after `timeout`
        seconds (None: the channel's; ``math.inf``: no limit), `ChannelClosed` if the channel ends
        before the answer, `SerializationError` for what cannot be sent. An answer that comes too
        late, or after this was cancelled, is dropped; the handler is not interrupted.
        """
        doing = f"the request {_checked_type(type)!r}"
        seconds = self._seconds(timeout)
        self._check_loop(doing)
        self._check_open(doing)
        self._numbers += 1
        number = self._numbers
        line = self._format.request(type, content, number)
        if self._link.is_full:
            started = self._loop.time()
            await self._wait_for_room(doing, seconds)
            seconds -= self._loop.time() - started
        future = self._loop.create_future()
        self._answers[number] = future, type
        try:
            self._link.write(line)
            return await self._waits.wait(future, doing, seconds)
        finally:
            self._answers.pop(number, None)

    async def closed(self) -> None:
        """Wait, without a limit, until the channel has ended, in whatever way."""
        self._check_loop("waiting for the end of the channel")
        await asyncio.shield(self._closed)

    # What the reader tells

    def on_said(self, said: Message | Answer, size: int) -> None:
        """Deal with a line; not for users."""
        if isinstance(said, Answer):
            self._on_answer(said)
        else:
            self._on_message(said, size)

    def on_malformed(self, line: bytes, fault: str) -> None:
        """End the channel; not for users."""
        shown = brief(line[:200].decode(errors="replace"), 160)
        self._finish(
            f"line {self._reader.lines_read} of {self._peer} {fault}: {shown}. What follows such a "
            "line cannot be trusted, so the channel was closed. Only lines as docs/channels.md "
            "describes them belong into the channel, nothing that is printed for people"
        )

    def on_end_of_stream(self) -> None:
        """End the channel; not for users."""
        self._finish(f"{self._peer} has closed the channel{self._unfinished_line()}")

    def on_caught_up(self) -> None:
        """Nothing that has been read waits any more; not for users."""

    def _on_answer(self, answer: Answer) -> None:
        number = answer.number
        if type(number) is not int or not 1 <= number <= self._numbers:
            raise Malformed(f"answers the request {brief(number, 40)}, which was never made")
        future, kind = self._answers.pop(number, (None, ""))
        if future is None or future.done():
            return  # it was given up, or is answered already
        error = self._format.error(answer.fields, kind)
        try:
            content = None if error else self._format.content(answer.fields, f"answer to {kind!r}")
        except SerializationError as unreadable:
            error = unreadable
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(content)
        self._reader.give_turn()  # after what wakes the asker

    def _on_message(self, message: Message, size: int) -> None:
        kind = message.type
        try:
            content = self._format.content(message.fields, f"content of {kind!r}")
        except SerializationError as error:
            self._unreadable(message, error)
            return
        waiting = [future for future in self._once.pop(kind, ()) if not future.done()]
        for future in waiting:
            future.set_result(content)
        if waiting:
            self._reader.give_turn()
        if self._handlers.handle(message, content, size):
            return
        if message.number is not None:
            self._responder.nobody_listens(message, self._handlers.types())
        elif not waiting and (kind in self._unheard or len(self._unheard) < _UNHEARD_TYPES):
            self._unheard[kind] = self._unheard.get(kind, 0) + 1

    def _unreadable(self, message: Message, error: SerializationError) -> None:
        if message.number is not None:
            self._responder.fail(message, error)
        else:
            said = f"workpool: the channel message {message.type!r} was dropped"
            self._loop.call_exception_handler({"message": said, "exception": error})

    # The end

    def _unfinished_line(self) -> str:
        rest = self._reader.unfinished()
        if not rest:
            return ""
        return f" in the middle of a line: {brief(rest[:200].decode(errors='replace'), 160)}"

    def _finish(self, happened: str, **how: Any) -> None:
        """Close this end and end every wait, for the reason given."""
        if self._end is not None:
            return
        self._end = ChannelClosed(happened, **how)
        self._link.close()
        self._reader.stop()
        if not self._loop.is_closed():
            self._waits.end_all(self._closed_error)
            self._closed.set_result(None)

    def let_go_in_child(self) -> None:
        """In a forked child of this process: close our copy; not for users."""
        self._link.drop()
        self._end = self._end or ChannelClosed("this is a forked child of the process that has it")

    def _closed_error(self, doing: str) -> ChannelClosed:
        end = self._end or ChannelClosed(f"{self._peer} has closed the channel")
        return ChannelClosed(
            f"{doing} failed: {end}", exit_code=end.exit_code, signal_name=end.signal_name
        )

    def _check_loop(self, doing: str) -> None:
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError(
                f"{doing} failed: a channel belongs to the event loop it was made in, and this is "
                "another one. From another thread use "
                "asyncio.run_coroutine_threadsafe(channel.request(type, content), loop)."
            )

    def _check_open(self, doing: str) -> None:
        if self._end is not None:
            raise self._closed_error(doing)

    def _check_active(self, doing: str) -> None:
        if not self.active:
            raise self._closed_error(doing)

    # Waiting

    async def _wait_for_room(self, doing: str, seconds: float) -> None:
        await self._waits.wait(self._link.room(), doing, seconds)
        self._check_open(doing)

    def _seconds(self, timeout: float | None) -> float:
        if timeout is None:
            return self._timeout
        check_seconds("timeout", timeout)
        return timeout

    def _too_late(self, doing: str, seconds: float) -> ChannelTimeout:
        return ChannelTimeout(
            f"{doing} took longer than {seconds:g} seconds. {self._evidence()} Give it a higher "
            "timeout= (seconds) if it may take so long."
        )

    def _evidence(self) -> str:
        """Say what is known of the other side: whole sentences."""
        if not self._reader.lines_read:
            return f"Until now {self._peer} has written no line to the channel."
        said = f"Until now {self._peer} has written {self._reader.lines_read} lines to the channel."
        if self._unheard:
            counts = ", ".join(f"{kind!r} ({n})" for kind, n in self._unheard.items())
            said += f" Of these, nobody listened for {counts} when they came."
        return said


def needs_loop(what: str) -> asyncio.AbstractEventLoop:
    """Return the running event loop; `RuntimeError` with advice if there is none."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            f"{what} needs a running event loop: make it in a coroutine, as in "
            f"'async with {what} as channel:'"
        ) from None


def _checked_type(kind: object) -> str:
    if not isinstance(kind, str):
        raise TypeError(f"the type of a message must be text, not {brief(kind)}")
    return kind
