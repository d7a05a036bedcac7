"""One worker process and the pool's ends of its pipes and sockets."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import select
import signal
import socket
from collections import deque
from collections.abc import Callable, Mapping

from workpool._output import OutputReader
from workpool._patient_timer import PatientTimer
from workpool._system import mail
from workpool._system.fork_guard import close_when_forked, is_closed, no_fork
from workpool._system.forked_process import ForkedProcess
from workpool._system.memory import write_parcel
from workpool._system.process import WORKER_PROGRAM, ExitStatus, Process, interpreter_command
from workpool._system.vigil import Vigil
from workpool._template import Template
from workpool._worker_config import WorkerConfig
from workpool._worker_handle import WorkerHandle

STARTING, READY, RETIRING, EXITED = "starting", "ready", "retiring", "exited"

_LAST_LINES = 20
_LONGEST_NOTED_LINE = 500
"""Enough for the end of a traceback; an error message is no log file."""


class WorkerProcess:
    """A running worker: its process, mail socket, report pipe and liveness pipe."""

    handle: WorkerHandle
    timer: PatientTimer
    """Limits its start, later its exit."""

    def __init__(
        self,
        config: WorkerConfig,
        loop: asyncio.AbstractEventLoop,
        environment: Mapping[str, str],
        *,
        capture_output: bool,
        template: Template | None = None,
    ) -> None:
        """Start the process, or have a template fork it. Raises `OSError`; then nothing is left behind."""
        self.slot = config.slot
        self.state = STARTING
        self.tasks_completed = 0
        self.is_async = False
        self.got_ready = False
        self.never_ready = False
        self.was_retiring = False
        self.status: ExitStatus | None = None
        """How its process has ended."""
        self.start_error: BaseException | None = None
        self.settings_version = 0
        """Which of its slot's start settings it was started with."""
        self.exit_reason = ""
        self.killed_for = ""
        """Why the pool, or its user, has killed it."""
        self.fed_from = 0
        """The sleep (by its idle flag) that a task in its own queue is to end, unless a thief takes it
        before this worker is up."""
        self.woken_from = 0
        """The sleep that mail has ended, for certain."""
        self.last_lines: deque[str] = deque(maxlen=_LAST_LINES)
        """What it has written before it was ready, as far as that went through the pool."""
        self.unread = b""
        self.unreadable = False
        """Whether what it has done since its last report cannot be known any more."""
        self.bytes_read = 0
        self._loop = loop
        self.on_mail_sent: Callable[[], None] = lambda: None
        self._outbox: deque[tuple[bytes, int | None]] = deque()
        self._closed = False
        self.output: dict[str, int] = {}
        self.output_readers: list[OutputReader] = []
        with no_fork, contextlib.ExitStack() as undo:
            child = self._open(undo, capture_output)
            self.process: Process | ForkedProcess
            if template is None:
                self.process = _start(config, child, environment)
            else:
                self.process = template.fork(child)
            undo.callback(self.process.close)
            undo.callback(self.process.send_signal, signal.SIGKILL)
            self._deliver_config(config)
            undo.pop_all()
            for descriptor in child.values():
                os.close(descriptor)
            close_when_forked(self)
        poll = select.poll()
        poll.register(self.report, select.POLLIN)
        self.vigil = Vigil(poll, processes=2)
        """Of the pool, for this worker's reports."""

    def post(self, data: bytes, descriptor: int | None = None) -> None:
        """Send mail, now or when there is room. Takes over the descriptor."""
        if self.state == EXITED:
            if descriptor is not None:
                os.close(descriptor)
        elif self._outbox or not self._try_send(data, descriptor):
            self._outbox.append((data, descriptor))
            self._loop.add_writer(self.mail.fileno(), self._send_outbox)

    @property
    def unsent_mail(self) -> int:
        """How many pieces of mail wait for room."""
        return len(self._outbox)

    def note_line(self, line: str) -> None:
        """Remember a line it has written, as evidence should it never become ready."""
        if not self.got_ready:
            self.last_lines.append(line[:_LONGEST_NOTED_LINE])

    def read_reports(self) -> bytes | None:
        """Read what there is in the report pipe: ``b""`` at its end, None when it is empty."""
        try:
            return os.read(self.report, 1 << 16)
        except BlockingIOError:
            return None

    def receive_parcel(self, number: bytes) -> tuple[int, bytes]:
        """Return the parcel that a report announces by its number: descriptor, what was said with it.

        Those before it are thrown away: they could not be received, or not be announced, when it was
        their turn. Raises `OSError` if this one cannot be received.
        """
        while True:
            try:
                found, descriptor = mail.receive(self.mail)
            except mail.DescriptorLost as error:
                if error.data[: len(number)] == number:
                    raise
                continue
            if descriptor is None:
                raise OSError("a parcel was announced, but no descriptor came with it")
            if found[: len(number)] == number:
                return descriptor, found[len(number) :]
            os.close(descriptor)

    def stop_reading(self, descriptor: int) -> None:
        """Take one descriptor out of the event loop."""
        if not self._loop.is_closed():
            self._loop.remove_reader(descriptor)

    def stop_watching(self) -> None:
        """Take every descriptor out of the event loop."""
        if self._loop.is_closed():
            return
        self._loop.remove_writer(self.mail.fileno())
        for descriptor in (self.process.descriptor, self.report, *self.output.values()):
            self._loop.remove_reader(descriptor)

    def abort(self) -> None:
        """Undo the start: end the process, wait for its end, close everything."""
        self.state = EXITED
        self.process.send_signal(signal.SIGKILL)
        self.stop_watching()
        self.process.reap(wait=True)
        self.close()
        self.process.close()

    def close(self) -> None:
        """Close everything the pool holds of this worker. The kernel then ends a busy worker.

        To be taken out of the event loop first, but not in a forked child, whose event loop shares
        what it watches with the parent's. Closing twice does no harm.
        """
        with no_fork:
            if self._closed:
                return
            self._closed = True
            for _, descriptor in self._outbox:
                if descriptor is not None:
                    os.close(descriptor)
            self._outbox.clear()
            self.mail.close()
            for descriptor in (self.report, self._liveness, *self.output.values()):
                os.close(descriptor)
            self.output = {}
            is_closed(self)

    def _open(self, undo: contextlib.ExitStack, capture_output: bool) -> dict[str, int]:
        """Make the pipes and sockets; return the child's ends by name."""
        ends: dict[str, int] = {}

        def pipe(name: str, *, child_reads: bool = False) -> int:
            read_end, write_end = os.pipe()
            undo.callback(os.close, read_end)
            undo.callback(os.close, write_end)
            ends[name], ours = (read_end, write_end) if child_reads else (write_end, read_end)
            os.set_blocking(ours, False)
            return ours

        self.mail, child_mail = mail.mail_pair()
        undo.callback(self.mail.close)
        ends["mail"] = child_mail.detach()
        undo.callback(os.close, ends["mail"])
        self.mail.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 18)
        self.report = pipe("report")
        self._liveness = pipe("liveness", child_reads=True)
        if capture_output:
            self.output = {"stdout": pipe("stdout"), "stderr": pipe("stderr")}
        return ends

    def _deliver_config(self, config: WorkerConfig) -> None:
        data = pickle.dumps(config, 5)
        if len(data) <= mail.INLINE_BYTES:
            self.post(data)
        else:
            self.post(b"", write_parcel(data, []))

    def _try_send(self, data: bytes, descriptor: int | None) -> bool:
        try:
            mail.send(self.mail, data, descriptor)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the worker has ended; its pidfd tells the rest
        except OSError:
            return False  # no room, or no memory: it is tried again
        self.on_mail_sent()
        if descriptor is not None:
            os.close(descriptor)
        return True

    def _send_outbox(self) -> None:
        while self._outbox:
            if not self._try_send(*self._outbox[0]):
                return
            self._outbox.popleft()
        self._loop.remove_writer(self.mail.fileno())


def _start(
    config: WorkerConfig, child: Mapping[str, int], environment: Mapping[str, str]
) -> Process:
    # The first arguments are for the reader of `ps`.
    private = [child["mail"], child["report"], child["liveness"]]
    command = [*interpreter_command(), WORKER_PROGRAM, config.name, str(config.slot)]
    return Process(
        [*command, *map(str, private)],
        descriptors=[*private, *config.shared_descriptors],
        environment=environment,
        stdout=child.get("stdout"),
        stderr=child.get("stderr"),
    )
