"""SIGINT in a worker: it hits the task it is meant for, in the thread that runs it, or nothing."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator

import pytest

from workpool import TaskCancelled, _frames
from workpool._system import mail
from workpool._system.memory import read_parcel
from workpool._worker.interrupts import Interruptible
from workpool._worker.reporter import Reporter

ATTEMPT = 77


@pytest.fixture
def words() -> Iterator[list[int]]:
    """Return the field that says what SIGINT is about; put the handler back afterwards."""
    before = signal.getsignal(signal.SIGINT)
    yield [0]
    signal.signal(signal.SIGINT, before)


class Channel:
    """A reporter and the other end of its pipe."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        self.mailbox, self.pool_side = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.reporter = Reporter(self.write_end, self.mailbox)

    def fill(self) -> int:
        """Write until nothing more fits; return how much that was."""
        os.set_blocking(self.write_end, False)
        written = 0
        try:
            while True:
                written += os.write(self.write_end, b"x" * 4096)
        except BlockingIOError:
            os.set_blocking(self.write_end, True)
            return written

    def drain(self, count: int) -> bytes:
        """Read so many bytes."""
        data = b""
        while len(data) < count:
            data += os.read(self.read_end, count - len(data))
        return data

    def received(self) -> list[tuple[int, int, float, bytes]]:
        """Return the reports that are there, the bodies of parcels included."""
        stream = os.read(self.read_end, 1 << 20)
        reports, rest = _frames.split_reports(stream)
        assert rest == b""
        return [self._unpacked(*report) for report in reports]

    def _unpacked(
        self, kind: int, attempt: int, cost: float, body: bytes
    ) -> tuple[int, int, float, bytes]:
        if kind & _frames.IN_PARCEL:
            _, descriptor = mail.receive(self.pool_side)
            assert descriptor is not None
            body = bytes(read_parcel(descriptor)[0])
        return kind & ~_frames.IN_PARCEL, attempt, cost, body

    def close(self) -> None:
        os.close(self.read_end)
        os.close(self.write_end)
        self.mailbox.close()
        self.pool_side.close()


@pytest.fixture
def channel() -> Iterator[Channel]:
    made = Channel()
    yield made
    made.close()


def test_the_task_it_is_meant_for_is_interrupted_once(words: list[int]) -> None:
    """The handler raises in the running attempt, and never again for the same one."""
    interruptible = Interruptible(words, 0)
    interruptible.attempt = words[0] = ATTEMPT
    with pytest.raises(TaskCancelled):
        signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(("running", "meant"), [(0, ATTEMPT), (ATTEMPT, 0), (ATTEMPT, 78), (0, 0)])
def test_any_other_interrupt_does_nothing(words: list[int], running: int, meant: int) -> None:
    """Not for this attempt, between tasks, or a Ctrl-C for the parent: all of it is ignored."""
    interruptible = Interruptible(words, 0)
    interruptible.attempt, words[0] = running, meant
    signal.raise_signal(signal.SIGINT)


def test_an_interruption_waits_until_a_report_is_out(words: list[int]) -> None:
    """While shielded nothing is raised; afterwards what is due comes, if it is still meant."""
    interruptible = Interruptible(words, 0)
    interruptible.attempt = words[0] = ATTEMPT
    interruptible.shielded = True
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(TaskCancelled):
        interruptible.unshield()
    interruptible.shielded = True
    signal.raise_signal(signal.SIGINT)
    interruptible.attempt = 0
    interruptible.unshield()


def test_a_report_is_written_whole(channel: Channel) -> None:
    """What arrives is what was sent, in order, small in the stream and large as a parcel."""
    bodies = [b"", b"x", b"z" * 3000, b"y" * 200_000, b"last"]
    for number, body in enumerate(bodies):
        channel.reporter.send(_frames.RESULT, number, body, 0.5)
    assert channel.received() == [
        (_frames.RESULT, number, 0.5, body) for number, body in enumerate(bodies)
    ]


def test_a_thread_that_reports_keeps_no_interruption_from_the_task(
    words: list[int], channel: Channel
) -> None:
    """While another thread waits in the middle of a report, the main thread is interrupted."""
    interruptible = Interruptible(words, 0)
    channel.reporter.interruptible = interruptible
    interruptible.attempt = words[0] = ATTEMPT
    filled = channel.fill()
    raised: list[BaseException] = []
    large = b"hello" * 50_000

    def report() -> None:
        try:
            channel.reporter.send(_frames.MESSAGE, 0, large)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=report)
    thread.start()
    try:
        while not channel.reporter._lock.locked():
            pass
        with pytest.raises(TaskCancelled):
            signal.raise_signal(signal.SIGINT)
    finally:
        channel.drain(filled)
        thread.join()
    assert raised == [], "the thread was interrupted in the place of the task"
    assert channel.received() == [(_frames.MESSAGE, 0, 0.0, large)]
