"""A template: an interpreter that has imported the entrypoint's module once and forks workers, seen from the pool.

It is a fresh interpreter, like a worker, and never a fork of the pool's own process. A worker it has
forked has everything of its own (mail, report pipe, liveness pipe), and outlives it.
"""

from __future__ import annotations

import os
import pickle
import select
import socket
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

from workpool._system import mail
from workpool._system.cord import ask_for_worker
from workpool._system.fork_guard import close_when_forked, is_closed, no_fork
from workpool._system.forked_process import ForkedProcess
from workpool._system.handover import hand_over
from workpool._system.memory import write_parcel
from workpool._system.process import WORKER_PROGRAM, ExitStatus, Process, interpreter_command
from workpool._worker_config import WorkerConfig

_LATE = 100
"""Milliseconds to wait for the end of a template that has closed its descriptors: microseconds, as a rule."""


class Template:
    """A running template process."""

    def __init__(
        self,
        config: WorkerConfig,
        environment: Mapping[str, str],
        forked: tuple[Process, socket.socket, int] | None = None,
    ) -> None:
        """Start it, or take over what a `ForkedTemplate` has handed over. Raises `OSError`.

        It does nothing before it is asked for its first worker.
        """
        self.status: ExitStatus | None = None
        """How it has ended."""
        self.killed = False
        self._key = _key(config, environment)
        self._closed = False
        if forked is None:
            self._start(config, environment)
        else:
            self.process, self._control, self._liveness = forked
            close_when_forked(self)
            self._introduce(config)

    def _start(self, config: WorkerConfig, environment: Mapping[str, str]) -> None:
        with no_fork, ExitStack() as undo:
            self._control, theirs = mail.mail_pair()
            undo.callback(self._control.close)
            undo.callback(theirs.close)
            liveness, self._liveness = os.pipe()
            undo.callback(os.close, self._liveness)
            undo.callback(os.close, liveness)
            private = [theirs.fileno(), liveness]
            command = [*interpreter_command(), WORKER_PROGRAM, config.name, "template"]
            self.process = Process(
                [*command, *map(str, private)],
                descriptors=[*private, *config.shared_descriptors],
                environment=environment,
            )
            undo.callback(self.process.close)
            undo.callback(self.process.reap, wait=True)
            undo.callback(self.kill)
            self._deliver(config)
            undo.pop_all()
            theirs.close()
            os.close(liveness)
            close_when_forked(self)

    def _introduce(self, config: WorkerConfig) -> None:
        """Give a template that was forked what others are started with."""
        try:
            hand_over(self._control, config.shared_descriptors)
            self._deliver(config)
        except OSError:
            self.kill()
            self.process.reap(wait=True)
            self.process.close()
            self.close()
            raise

    def suits(self, config: WorkerConfig, environment: Mapping[str, str]) -> bool:
        """Whether a worker would find in it what it would find in an interpreter of its own."""
        return self._key == _key(config, environment)

    def fork(self, ends: Mapping[str, int]) -> ForkedProcess:
        """Ask for a worker with these descriptors; it is made when the template comes to it.

        Never waits. Raises `OSError`.
        """
        cord, theirs = mail.mail_pair()
        try:
            ask_for_worker(self._control, [theirs.fileno(), *ends.values()])
            return ForkedProcess(cord, self.end)
        except OSError:
            cord.close()
            raise
        finally:
            theirs.close()

    @property
    def ending(self) -> bool:
        """Whether it has ended, or said its only word: why it cannot be a template."""
        return self.status is not None or self._is_readable(self._control.fileno(), 0)

    def end(self) -> ExitStatus:
        """Return how it has ended, which it has but for a moment."""
        if self.status is None and self._is_readable(self.process.descriptor, _LATE):
            self.status = self.process.reap()
        return self.status or ExitStatus(None, None)

    def last_words(self) -> str:
        """Return why it says that it cannot be a template; empty if it does not say so."""
        try:
            return mail.receive(self._control)[0].decode()
        except OSError:
            return ""

    def retire(self) -> None:
        """Ask for no more workers: it ends when those it has made have ended."""
        with suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)

    def kill(self) -> None:
        """End it with SIGKILL. The workers it has made go on."""
        self.killed = True
        self.process.send_signal(9)

    def close(self) -> None:
        """Close what the pool holds of it, but for its pidfd. The kernel then ends it."""
        with no_fork:
            if not self._closed:
                self._closed = True
                self._control.close()
                os.close(self._liveness)
                is_closed(self)

    def _deliver(self, config: WorkerConfig) -> None:
        data = pickle.dumps(config, 5)
        if len(data) <= mail.INLINE_BYTES:
            mail.send(self._control, data)
            return
        parcel = write_parcel(data, [])
        try:
            mail.send(self._control, b"", parcel)
        finally:
            os.close(parcel)

    @staticmethod
    def _is_readable(descriptor: int, milliseconds: int) -> bool:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(milliseconds))


def _key(config: WorkerConfig, environment: Mapping[str, str]) -> tuple[object, ...]:
    """Return what a worker of its own would be started with, as far as that can change."""
    try:
        folder = str(Path.cwd())
    except OSError:
        folder = ""  # it was removed
    return (dict(environment), folder, config.sys_path, config.argv, config.shared_descriptors)
