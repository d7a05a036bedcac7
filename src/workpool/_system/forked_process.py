"""A worker that a template has forked, seen from the pool as if it were a child of its own."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from contextlib import suppress

from workpool._quick import socket
from workpool._system import mail
from workpool._system.cord import BORN, ENDED, NOT_MADE, unpacked
from workpool._system.process import ExitStatus

_LATE = 250
"""Milliseconds to wait for the template's word on how a worker has ended that has ended: it takes less
than one. Not longer, because everything else waits meanwhile: somebody has stopped the template."""

_UNKNOWN = ExitStatus(None, None)


class ForkedProcess:
    """Does as a `Process`. It may not be born yet: the template comes to it when it can."""

    def __init__(self, cord: socket.socket, template_status: Callable[[], ExitStatus]) -> None:
        """Take over the pool's end of the worker's cord. Raises `OSError`.

        `template_status` tells how the template has ended: the end of a worker that it owed us.
        """
        self.pid = 0
        """0 until it is born."""
        self.failure: OSError | None = None
        """Why the template could not make it."""
        self._template_status = template_status
        self._status: ExitStatus | None = None
        self._pidfd = -1
        self._killed = False
        self._epoll = select.epoll()
        self._epoll.register(cord.fileno(), select.EPOLLIN)
        self._cord: socket.socket | None = cord

    @property
    def descriptor(self) -> int:
        """What is readable when there is something for `reap` to see."""
        return self._epoll.fileno()

    def send_signal(self, number: int) -> None:
        """Send a signal; nothing happens if the process has ended.

        One that is not born yet can only be killed: it never will be, or ends at its first breath.
        """
        self._killed = self._killed or number == signal.SIGKILL
        if self._pidfd >= 0:
            with suppress(OSError):
                signal.pidfd_send_signal(self._pidfd, number)
        elif self._killed and self._cord is not None:
            with suppress(OSError):
                self._cord.shutdown(socket.SHUT_RDWR)

    def reap(self, *, wait: bool = False) -> ExitStatus | None:
        """Return the exit status; None if the process has not ended and `wait` is false."""
        while self._status is None:
            if not self._epoll.poll(-1 if wait else 0):
                return None
            self._look()
        return self._status

    def close(self) -> None:
        """Close the descriptors."""
        self._epoll.close()
        self._drop_cord()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1

    def _look(self) -> None:
        self._read_cord()
        if self._status is not None or not _is_readable(self._pidfd, 0):
            return
        if self._cord is not None and _is_readable(self._cord.fileno(), _LATE):
            self._read_cord()
        if self._status is None:
            # Its template is gone or was stopped. If it was us who have killed it we know.
            self._status = ExitStatus(None, signal.SIGKILL) if self._killed else _UNKNOWN

    def _read_cord(self) -> None:
        while self._cord is not None and self._status is None:
            try:
                data, descriptor = mail.receive(self._cord)
            except BlockingIOError:
                return
            except OSError as error:  # it came, but we cannot hold it: to be let go of
                self.failure, self._status = error, _UNKNOWN
                return
            if descriptor is not None:
                self._born(unpacked(data[1:]), descriptor)
            else:
                self._told(data[:1], unpacked(data[1:]))

    def _born(self, pid: int, descriptor: int) -> None:
        self.pid, self._pidfd = pid, descriptor
        self._epoll.register(descriptor, select.EPOLLIN)
        if self._killed:
            self.send_signal(signal.SIGKILL)

    def _told(self, what: bytes, number: int) -> None:
        if what == ENDED:
            self._status = ExitStatus(number, None) if number >= 0 else ExitStatus(None, -number)
        elif what == NOT_MADE:
            self.failure, self._status = OSError(number, os.strerror(number)), _UNKNOWN
        else:
            assert what != BORN, "a birth without a pidfd"
            self._cord_is_over()

    def _cord_is_over(self) -> None:
        assert self._cord is not None
        self._epoll.unregister(self._cord.fileno())
        self._drop_cord()
        if self._pidfd < 0:
            killed = ExitStatus(None, signal.SIGKILL)
            self._status = killed if self._killed else self._template_status()

    def _drop_cord(self) -> None:
        if self._cord is not None:
            self._cord.close()
            self._cord = None


def _is_readable(descriptor: int, milliseconds: int) -> bool:
    if descriptor < 0:
        return False
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(milliseconds))
