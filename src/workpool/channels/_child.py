"""`ChildChannel`: the child's end of the channel to the process that started it."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import warnings
from contextlib import suppress
from types import TracebackType
from typing import Self

from workpool._checks import check_seconds
from workpool.channels._channel import DEFAULT_TIMEOUT, Channel, needs_loop
from workpool.channels._lines import (
    DESCRIPTOR_VARIABLE,
    FORMAT_VARIABLE,
    LINE_LIMIT,
    LINE_LIMIT_VARIABLE,
    LineFormat,
)
from workpool.errors import ChannelClosed, ChannelTimeout


class ChildChannel(Channel):
    """Talk, in a child process, with the `ParentChannel` that started it.

    Takes the channel that this process was given, once: it is not handed on to what this process
    starts. `timeout` (seconds) limits each wait that has no limit of its own. Must be made in a
    coroutine::

        async with ChildChannel() as channel:
            channel.listen_for("resize", resize)
            await channel.closed()

    Register the handlers before the first `await`: from then on messages are handled. When the
    parent destroys the channel, `closed()` returns, and this process has a moment (a second, unless
    the parent gives more) to end; it is killed with its parent, however that ends.

    Raises `ChannelClosed` if this process was not given a channel.
    """

    _leaving: asyncio.Task[None] | None = None

    def __init__(self, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        check_seconds("timeout", timeout)
        loop = needs_loop("ChildChannel()")
        sock = _take_socket()
        line_format = LineFormat(
            "child",
            pickled=os.environ.pop(FORMAT_VARIABLE, "json") == "pickle",
            line_limit=int(os.environ.pop(LINE_LIMIT_VARIABLE, LINE_LIMIT)),
        )
        super().__init__(sock, line_format, timeout, "the parent", loop)

    @property
    def id(self) -> int:
        """This process's id, as the parent's end has it."""
        return os.getpid()

    def leave(self) -> asyncio.Future[None]:
        """Close this end, when what was sent has gone out; may be awaited until then. This process goes on.

        Async handlers that are at work are cancelled. To be called any number of times.
        """
        if self._leaving is None:
            self._handlers.cancel()
            self._leaving = self._loop.create_task(self._leave())
        return asyncio.shield(self._leaving)

    async def _leave(self) -> None:
        if self.active:
            with suppress(ChannelClosed, ChannelTimeout):
                await self.drain()
        self._finish("this side has left the channel")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.leave()

    def __del__(self) -> None:
        if getattr(self, "_end", self) is not None:  # never made, or ended
            return
        self._finish("nobody held the channel any more")
        message = f"{self!r} was never left; use 'async with' or leave()"
        warnings.warn(message, ResourceWarning, source=self, stacklevel=2)

    def __repr__(self) -> str:
        return f"<ChildChannel of process {self.id} {'active' if self.active else 'closed'}>"


def _take_socket() -> socket.socket:
    text = os.environ.pop(DESCRIPTOR_VARIABLE, None)
    if text is None:
        raise ChannelClosed(
            f"this process was given no channel ({DESCRIPTOR_VARIABLE} is not set): it was not "
            "started by a ParentChannel, or has taken its channel already, or something between the "
            "two did not hand on the environment. A parent starts it with "
            "ParentChannel([sys.executable, 'child.py'])."
        )
    try:
        descriptor = int(text)
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            raise ValueError("it is no socket")
    except (OSError, ValueError) as error:
        raise ChannelClosed(
            f"the channel of this process is not there: {DESCRIPTOR_VARIABLE} is {text!r}, and "
            f"{error}. Probably something between this process and its parent has closed what it "
            "inherited."
        ) from error
    os.set_inheritable(descriptor, False)
    return socket.socket(fileno=descriptor)
