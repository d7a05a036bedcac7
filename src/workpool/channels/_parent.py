"""`ParentChannel`: a child process, and the parent's end of the channel to it."""

from __future__ import annotations

import asyncio
import socket
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from workpool._checks import check_between, check_count, check_seconds
from workpool._system.process import ExitStatus
from workpool.channels._channel import DEFAULT_TIMEOUT, Channel, needs_loop
from workpool.channels._child_process import ChildProcess
from workpool.channels._command import (
    Command,
    Folder,
    check_pickled,
    checked_command,
    checked_environment,
    checked_folder,
)
from workpool.channels._lines import (
    DESCRIPTOR_VARIABLE,
    FORMAT_VARIABLE,
    LEAST_LINE_LIMIT,
    LINE_LIMIT,
    LINE_LIMIT_VARIABLE,
    LineFormat,
)
from workpool.channels._output import LineHandler, Lines, Tail, printer

ChildOutput = Literal["inherit", "forward"] | LineHandler

DESTROY_GRACE = 1.0
"""Seconds a child has to end by itself when its channel is destroyed: to finish a file, not a job."""

_EXIT_NOTICE = 0.5
"""Seconds to wait for the news of a child's end after the channel's, which comes a little earlier when
a process ends, so that the error can say how it ended."""


_LONGEST_GRACE = 1e6
"""Seconds, as some event loops know no longer timers."""

_LIKELY = {
    "SIGKILL": "probably the kernel's out-of-memory killer, or somebody's kill -9",
    "SIGTERM": "somebody asked it to terminate",
    126: "what a shell says of a command that may not be executed",
    127: "what a shell says of a command it did not find",
}


class ParentChannel(Channel):
    """Start a child process and hold a conversation of named messages with it.

    `command` is a list of words, or text that is split like a shell's but run without one. The
    child finds its end of the channel through `ChildChannel`, or in any language as
    docs/channels.md describes. It and what it starts form a process group that ends with `destroy`,
    with the child itself, when this object is dropped, and with this process, however that ends;
    the channel never keeps this process from exiting. A terminal's Ctrl-C does not reach it.

    `cwd` is the folder to start in; `env` is added to this process's environment. `pickled=True`
    lets two Python processes send each other whatever can be pickled; unpickling runs code of the
    sender's choice, so only do that with a child you trust. `timeout` (seconds) limits each wait
    that has no limit of its own. `output` says where the child's standard output and error go:
    ``"inherit"``, where this process's go; ``"forward"``, line by line through `sys.stdout` and
    `sys.stderr`; or a function ``(stream, line)``. Only what does not go directly can be shown in
    errors. `line_limit` (bytes) is the length of the longest line either side may send.

    Must be made in a coroutine; `async with` destroys it at the end. Raises `WorkerStartError` for
    a command that cannot be started.
    """

    def __init__(
        self,
        command: Command,
        *,
        cwd: Folder | None = None,
        env: Mapping[str, str] | None = None,
        pickled: bool = False,
        timeout: float = DEFAULT_TIMEOUT,
        output: ChildOutput = "inherit",
        line_limit: int = LINE_LIMIT,
    ) -> None:
        words = checked_command(command)
        check_seconds("timeout", timeout)
        check_pickled(pickled)
        check_count("line_limit", line_limit, at_least=LEAST_LINE_LIMIT)
        loop = needs_loop("ParentChannel(...)")
        environment = {
            **checked_environment(env),
            FORMAT_VARIABLE: "pickle" if pickled else "json",
            LINE_LIMIT_VARIABLE: str(line_limit),
        }
        self._tail = Tail() if output != "inherit" else None
        self._left_in_line = ""
        self._notice: asyncio.TimerHandle | None = None
        sinks = self._sinks(words, output)
        ours, theirs = socket.socketpair()
        with theirs:
            environment[DESCRIPTOR_VARIABLE] = str(theirs.fileno())
            try:
                self._child = ChildProcess(
                    words,
                    loop,
                    environment=environment,
                    folder=checked_folder(cwd),
                    inherited=[theirs.fileno()],
                    sinks=sinks,
                )
            except BaseException:
                ours.close()
                raise
        peer = f"the child '{self._child.shown}' (process {self._child.pid})"
        line_format = LineFormat("parent", pickled=pickled, line_limit=line_limit)
        super().__init__(ours, line_format, timeout, peer, loop)
        self._child.on_exit = self._on_exit

    @property
    def id(self) -> int:
        """The child's process id."""
        return self._child.pid

    @property
    def active(self) -> bool:
        """Whether messages can be sent and can come: neither side has closed, the child lives."""
        return super().active and self.alive

    @property
    def alive(self) -> bool:
        """Whether the child has not been seen to end."""
        return self._child.status is None

    def destroy(self, grace: float = DESTROY_GRACE) -> asyncio.Future[None]:
        """End the channel and the child; may be awaited until both are gone.

        The child sees the channel close and has `grace` seconds to end by itself; then it is killed
        with all it has started. Waits end with `ChannelClosed`, async handlers are cancelled, what
        the child had not read of what was sent may be lost. To be called any number of times.
        """
        check_between("grace", grace, 0)
        if not self._loop.is_closed():
            self._handlers.cancel()
        self._finish("this side has destroyed the channel")
        self._child.end(min(grace, _LONGEST_GRACE))
        return self._child.ended()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.destroy()

    def __del__(self) -> None:
        if getattr(self, "_end", self) is not None:  # never made, or ended
            return
        self._finish("nobody held the channel any more")
        message = f"{self!r} was never destroyed; use 'async with' or destroy()"
        warnings.warn(message, ResourceWarning, source=self, stacklevel=2)

    def __repr__(self) -> str:
        state = "active" if self.active else "closed"
        return f"<ParentChannel to process {self.id} '{self._child.shown}' {state}>"

    # Inside

    def _sinks(self, words: list[str], output: ChildOutput) -> dict[str, Lines]:
        if output == "inherit":
            return {}
        handler = printer(Path(words[0]).name) if output == "forward" else output
        if not callable(handler):
            raise ValueError(
                f"output must be 'inherit', 'forward' or a function (stream, line), not {output!r}"
            )
        return {
            "stdout": Lines("stdout", handler),
            "stderr": Lines("stderr", handler, self._tail),
        }

    # The end of the child

    def on_caught_up(self) -> None:
        """See whether the child has ended meanwhile; not for users."""
        self._on_exit()

    def on_end_of_stream(self) -> None:
        """Wait a moment for how the child ended; not for users."""
        self._left_in_line = self._unfinished_line()
        self._notice = self._loop.call_later(_EXIT_NOTICE, self._on_leave)

    def _on_leave(self) -> None:
        self._finish(
            f"{self._peer} has closed the channel{self._left_in_line} but still runs. "
            f"{self._stderr()}destroy() ends it"
        )

    def _on_exit(self) -> None:
        status = self._child.status
        if status is None or self._end is not None or not self._reader.read_to_end():
            return  # it lives, it is over already, or there is something to be handled first
        how = {"exit_code": status.exit_code, "signal_name": status.signal_name}
        self._left_in_line = self._left_in_line or self._unfinished_line()
        what = f"{self._peer} {status}{self._left_in_line}"
        self._finish(f"{what}: {self._why(status)}. {self._stderr()}".rstrip(), **how)

    def _why(self, status: ExitStatus) -> str:
        if status.exit_code == 0 and self._left_in_line:
            return "what it sends is complete, and read, only with a line feed at the end"
        if status.exit_code == 0 and not self._reader.lines_read:
            return (
                "it never wrote to the channel, so it may not use it. A child takes it with "
                "ChildChannel, or as docs/channels.md describes"
            )
        if status.exit_code == 0:
            return "a child that serves must go on until its channel ends (await channel.closed())"
        likely = "probably an error it did not handle" if status.exit_code else "a fault in it"
        return _LIKELY.get(status.signal_name or status.exit_code, likely)

    def _finish(self, happened: str, **how: Any) -> None:
        if self._notice is not None:
            self._notice.cancel()
        super()._finish(happened, **how)

    def _evidence(self) -> str:
        return f"{super()._evidence()} {self._stderr()}".rstrip()

    def _stderr(self) -> str:
        """Say what the child has written to its standard error: whole sentences, and a blank."""
        if self._tail is None:
            return "What it wrote to its standard error is where this process's goes. "
        tail = str(self._tail)
        if not tail:
            return "It wrote nothing to its standard error. "
        return f"The last it wrote to its standard error:\n{tail}\n"
