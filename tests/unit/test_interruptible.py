"""The signal that interrupts: it hits the task it is meant for, in the thread that runs it, or nothing."""

from __future__ import annotations

import linecache
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from workpool import TaskCancelled, _frames
from workpool._system import belt as belt_module
from workpool._system import mail
from workpool._system.belt import Belt, BeltReader
from workpool._system.memory import read_parcel
from workpool._system.status_page import INTERRUPTION, new_page
from workpool._worker import reporter as reporter_module
from workpool._worker.interrupts import Interruptible
from workpool._worker.reporter import Reporter

ATTEMPT = 77


@pytest.fixture
def words() -> Iterator[list[int]]:
    """Return the field that says what the signal is about; put the handler back afterwards."""
    before = signal.getsignal(INTERRUPTION)
    yield [0]
    signal.signal(INTERRUPTION, before)


class Channel:
    """A reporter and the other end of its pipe."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        self.mailbox, self.pool_side = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.reporter = Reporter(self.write_end, self.mailbox)
        self.page = new_page(1, 1)

    def use_belt(self) -> None:
        self.reporter.belt = Belt(self.page, 0)

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
        stream, position = os.read(self.read_end, 1 << 20), 0
        reports = []
        while position < len(stream):
            report, position = _frames.next_report(stream, position)
            assert report is not None
            reports.append(self._unpacked(*report))
        return reports

    def _unpacked(
        self, kind: int, attempt: int, cost: float, body: bytes
    ) -> tuple[int, int, float, bytes]:
        if kind & _frames.IN_PARCEL:
            _, descriptor = mail.receive(self.pool_side)
            assert descriptor is not None
            body = bytes(read_parcel(descriptor)[0])
        if kind & _frames.ON_BELT:
            reader, note = BeltReader(self.page), body
            body = bytes(reader.body(0, note)[0])
            reader.done(0, note)
        return kind & ~(_frames.IN_PARCEL | _frames.ON_BELT), attempt, cost, body

    def close(self) -> None:
        os.close(self.read_end)
        os.close(self.write_end)
        self.mailbox.close()
        self.pool_side.close()
        self.reporter.belt = None
        self.page.close()


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
        signal.raise_signal(INTERRUPTION)
    signal.raise_signal(INTERRUPTION)


@pytest.mark.parametrize(("running", "meant"), [(0, ATTEMPT), (ATTEMPT, 0), (ATTEMPT, 78), (0, 0)])
def test_any_other_interrupt_does_nothing(words: list[int], running: int, meant: int) -> None:
    """Not for this attempt, between tasks, or for nothing at all: all of it is ignored."""
    interruptible = Interruptible(words, 0)
    interruptible.attempt, words[0] = running, meant
    signal.raise_signal(INTERRUPTION)


def test_an_interruption_waits_until_a_report_is_out(words: list[int]) -> None:
    """While shielded nothing is raised; afterwards what is due comes, if it is still meant."""
    interruptible = Interruptible(words, 0)
    interruptible.attempt = words[0] = ATTEMPT
    interruptible.shielded = True
    signal.raise_signal(INTERRUPTION)
    with pytest.raises(TaskCancelled):
        interruptible.unshield()
    interruptible.shielded = True
    signal.raise_signal(INTERRUPTION)
    interruptible.attempt = 0
    interruptible.unshield()


@pytest.mark.parametrize("has_belt", [False, True])
def test_a_report_is_written_whole(channel: Channel, has_belt: bool) -> None:
    """What arrives is what was sent, in order, small in the stream, large by the belt or as a parcel."""
    if has_belt:
        channel.use_belt()
    bodies = [b"", b"x", b"z" * 3000, b"y" * 200_000, b"w" * 5000, b"v" * 1_200_000, b"last"]
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
            signal.raise_signal(INTERRUPTION)
    finally:
        channel.drain(filled)
        thread.join()
    assert raised == [], "the thread was interrupted in the place of the task"
    assert channel.received() == [(_frames.MESSAGE, 0, 0.0, large)]


class Interruption:
    """Raises in the code of the belt, before so many lines of it have run."""

    def __init__(self, lines: int) -> None:
        self.left = lines
        self._files = {belt_module.__file__, reporter_module.__file__}

    def trace(self, frame: Any, event: str, _: Any) -> Any:
        if frame.f_code.co_filename not in self._files:
            return None
        # At the end of a `with` a tracer can come between where no signal can.
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and not line.strip().startswith("with "):
            self.left -= 1
            if not self.left:
                raise TaskCancelled("now")
        return self.trace


def test_an_interruption_at_any_line_leaves_the_belt_whole(channel: Channel) -> None:
    """The body that was being sent arrives whole or not at all, and the next ones always."""
    channel.use_belt()
    bodies = [bytes([number]) * 900_000 for number in range(3)]
    was_interrupted = True
    for lines in range(1, 200):
        interruption = Interruption(lines)
        sys.settrace(interruption.trace)
        try:
            channel.reporter.send(_frames.MESSAGE, 0, b"interrupted" * 50_000)
            was_interrupted = False
        except TaskCancelled:
            pass
        finally:
            sys.settrace(None)
        for body in bodies:
            channel.reporter.send(_frames.MESSAGE, 0, body)
        came = [body for _, _, _, body in channel.received()]
        assert came[-3:] == bodies
        assert came[:-3] in ([], [b"interrupted" * 50_000])
        assert not channel.reporter._lock.locked()
        if not was_interrupted:
            break
    assert lines > 20
