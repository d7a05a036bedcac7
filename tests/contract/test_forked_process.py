"""A forked process, seen through its cord: born, ended, never made, killed before its birth, left alone."""

from __future__ import annotations

import errno
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from workpool._system import cord as cords
from workpool._system import mail
from workpool._system.forked_process import ForkedProcess
from workpool._system.process import ExitStatus

END_OF_TEMPLATE = ExitStatus(7, None)


class Other:
    """The other end of a cord: the template's and the worker's, played by the test."""

    def __init__(self, stack: ExitStack) -> None:
        ours, theirs = mail.mail_pair()
        self.cord = socket.socket(fileno=theirs.detach())
        stack.callback(self.cord.close)
        self.process = ForkedProcess(ours, lambda: END_OF_TEMPLATE)
        stack.callback(self.process.close)
        self._stack = stack

    def bear(self) -> int:
        """Start a process that waits, and tell of its birth as it would."""
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(write_end)
            os.read(read_end, 1)
            os._exit(3)
        os.close(read_end)
        self._end = write_end
        self._stack.callback(self._bury, pid)
        descriptor = os.pidfd_open(pid)
        mail.send(self.cord, cords.BORN + cords.packed(pid), descriptor)
        os.close(descriptor)
        return pid

    def let_end(self) -> None:
        """Let the process exit with code 3."""
        os.close(self._end)
        self._end = -1

    def tell(self, what: bytes, number: int) -> None:
        """Say something as the template."""
        self.cord.send(what + cords.packed(number))

    def _bury(self, pid: int) -> None:
        if self._end >= 0:
            os.close(self._end)
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)


@pytest.fixture
def other() -> Iterator[Other]:
    """Return a cord's other end; what hangs on it is ended."""
    with ExitStack() as stack:
        yield Other(stack)


def test_its_birth_and_its_end_are_told(other: Other) -> None:
    """It has no id before it is born, and no status before it has ended: then the template's."""
    assert other.process.pid == 0
    assert other.process.reap() is None
    pid = other.bear()
    assert other.process.reap() is None
    assert other.process.pid == pid
    other.let_end()
    other.tell(cords.ENDED, 3)
    assert other.process.reap(wait=True) == ExitStatus(3, None)
    assert other.process.reap() == ExitStatus(3, None)


def test_a_signal_is_told_by_a_negative_number(other: Other) -> None:
    """As `subprocess` has it."""
    other.bear()
    other.process.reap()
    other.process.send_signal(signal.SIGTERM)
    other.tell(cords.ENDED, -signal.SIGTERM)
    assert other.process.reap(wait=True) == ExitStatus(None, signal.SIGTERM)


def test_what_was_never_made_has_a_reason(other: Other) -> None:
    """The template's failure to fork is the process's."""
    other.tell(cords.NOT_MADE, errno.EAGAIN)
    assert other.process.reap() == ExitStatus(None, None)
    assert other.process.failure is not None
    assert other.process.failure.errno == errno.EAGAIN


def test_what_was_not_born_ends_as_its_template(other: Other) -> None:
    """When both are gone that could have told, the template's end is all there is to know."""
    other.cord.close()
    assert other.process.reap() == END_OF_TEMPLATE


def test_one_that_is_killed_before_its_birth_ends_at_once(other: Other) -> None:
    """Nobody waits for the template; and whoever is born later cannot say so, and ends."""
    other.process.send_signal(signal.SIGKILL)
    assert other.process.reap(wait=True) == ExitStatus(None, signal.SIGKILL)
    with pytest.raises(BrokenPipeError):
        other.tell(cords.BORN, 1)


def test_one_that_is_killed_while_its_birth_is_told_is_killed(other: Other) -> None:
    """The news is on its way when the pool kills it: the signal is sent when the pidfd is here."""
    pid = other.bear()
    other.process.send_signal(signal.SIGKILL)
    assert other.process.reap(wait=True) == ExitStatus(None, signal.SIGKILL)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL


def test_without_its_template_its_end_is_seen_but_not_how(other: Other) -> None:
    """The pidfd still tells that it has ended."""
    other.bear()
    other.process.reap()
    other.cord.close()
    assert other.process.reap() is None
    other.let_end()
    assert other.process.reap(wait=True) == ExitStatus(None, None)


def test_a_template_that_does_not_answer_is_not_waited_for(other: Other) -> None:
    """One that somebody has stopped holds nobody up: the end counts, without its how."""
    other.bear()
    other.process.reap()
    other.let_end()
    assert other.process.reap(wait=True) == ExitStatus(None, None)
