"""A child process with all it starts: tied to this one, watched by the event loop, ended for sure."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from subprocess import DEVNULL

from workpool._system.leash import Leash
from workpool._system.process import ExitStatus, Process
from workpool.channels._command import shown, start_error
from workpool.channels._forks import let_go_when_forked
from workpool.channels._link import weakly
from workpool.channels._output import Sink

_STRETCH = 1 << 16
_LAST_STRETCHES = 16
"""Of what is in a pipe when a child has ended so many stretches are read: all a pipe holds, but not
what somebody who escaped from the group goes on writing."""


class ChildProcess:
    """A running command in a process group of its own.

    The group is killed when the child ends, when this object is dropped, and by the kernel when
    this process ends, in whatever way. What starts a session of its own escapes from that.
    """

    def __init__(
        self,
        words: Sequence[str],
        loop: asyncio.AbstractEventLoop,
        *,
        environment: Mapping[str, str],
        folder: str | None = None,
        inherited: Sequence[int] = (),
        stdin: int = DEVNULL,
        sinks: Mapping[str, Sink] | None = None,
    ) -> None:
        """Start it; streams without a sink go where this process's go. Raises `WorkerStartError`."""
        self.shown = shown(words)
        self.status: ExitStatus | None = None
        """How it ended, once it has."""
        self.on_exit: Callable[[], None] | None = None
        """Called in the event loop when it has ended and its output has been passed on."""
        self._loop = loop
        self._sinks: dict[int, Sink] = {}
        with ExitStack() as ours, ExitStack() as theirs:
            try:
                streams = self._open(sinks or {}, ours, theirs)
                self._process = Process(
                    words,
                    descriptors=[*inherited, self._leash.child_end],
                    environment=environment,
                    stdin=stdin,
                    folder=folder,
                    own_group=True,
                    **streams,
                )
            except OSError as error:
                raise start_error(words, folder, environment, error) from error
            ours.pop_all()
        self.pid = self._process.pid
        self._leash.tie(self.pid)
        self._ended: asyncio.Future[None] = loop.create_future()
        self._watch()
        let_go_when_forked(self)

    def send_signal(self, number: int) -> None:
        """Send a signal to the child alone; nothing happens if it has ended."""
        if self.status is None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """End the whole group at once with SIGKILL."""
        if self.status is None:
            self._process.kill_group()

    def end(self, grace: float) -> None:
        """Kill the group after `grace` seconds, unless it ends by itself before."""
        if self._loop.is_closed():
            self._end_without_loop()
        elif grace > 0 and self.status is None:
            timer = self._loop.call_later(grace, self.kill)
            self._ended.add_done_callback(lambda _: timer.cancel())
        else:
            self.kill()

    def ended(self) -> asyncio.Future[None]:
        """Return a future, of the caller's own, that is done when the child has ended."""
        return asyncio.shield(self._ended)

    def let_go_in_child(self) -> None:
        """In a forked child of this process: close our copies, and leave the process alone."""
        if self.status is None:
            self.status = ExitStatus(None, None)
            self._close()

    def __del__(self) -> None:
        if getattr(self, "pid", None) is None or self.status is not None:
            return
        self._process.kill_group()
        self._unwatch()
        self._leash.close()
        for descriptor in self._sinks:
            os.close(descriptor)
        if (
            not sys.is_finalizing()
        ):  # else nobody is left to reap for, and no thread starts any more
            threading.Thread(target=_reap, args=(self._process,), daemon=True).start()

    # Inside

    def _open(
        self, sinks: Mapping[str, Sink], ours: ExitStack, theirs: ExitStack
    ) -> dict[str, int]:
        """Make the leash, and a pipe for each sink; return the child's ends by stream."""
        self._leash = Leash()
        ours.callback(self._leash.close)
        streams: dict[str, int] = {}
        for stream, sink in sinks.items():
            descriptor, streams[stream] = os.pipe()
            ours.callback(os.close, descriptor)
            theirs.callback(os.close, streams[stream])
            os.set_blocking(descriptor, False)
            self._sinks[descriptor] = sink
        return streams

    def _watch(self) -> None:
        self._loop.add_reader(self._process.descriptor, weakly(self._on_exit))
        for descriptor in self._sinks:
            self._loop.add_reader(descriptor, weakly(self._on_output), descriptor)

    def _unwatch(self) -> None:
        if not self._loop.is_closed():
            for descriptor in (self._process.descriptor, *self._sinks):
                self._loop.remove_reader(descriptor)

    def _on_output(self, descriptor: int) -> bool:
        """Pass on what there is; return whether there may be more."""
        try:
            data = os.read(descriptor, _STRETCH)
        except BlockingIOError:
            return False
        if not data:
            self._loop.remove_reader(descriptor)  # or it would be "readable" for ever
            return False
        self._pass_on(self._sinks[descriptor].feed, data)
        return True

    def _pass_on(self, sink: Callable[..., None], *data: bytes) -> None:
        try:
            sink(*data)
        except Exception as error:  # noqa: BLE001 - the user's handler must not stop the reading
            said = f"workpool: the handler of the output of '{self.shown}' raised"
            self._loop.call_exception_handler({"message": said, "exception": error})

    def _on_exit(self) -> None:
        self._process.kill_group()  # what it has started goes with it
        status = self._process.reap()
        if status is None:
            return
        for descriptor, sink in self._sinks.items():
            for _ in range(_LAST_STRETCHES):
                if not self._on_output(descriptor):
                    break
            self._pass_on(sink.finish)
        self._unwatch()
        self._over(status)

    def _end_without_loop(self) -> None:
        self.kill()
        if self.status is None:
            self._over(self._process.reap(wait=True) or ExitStatus(None, None))

    def _over(self, status: ExitStatus) -> None:
        self.status = status
        self._close()
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            self._ended.set_result(None)
        if self.on_exit is not None and not self._loop.is_closed():
            self.on_exit()

    def _close(self) -> None:
        self._leash.close()
        self._process.close()
        for descriptor in self._sinks:
            os.close(descriptor)
        self._sinks = {}


def _reap(process: Process) -> None:
    process.reap(wait=True)
    process.close()
