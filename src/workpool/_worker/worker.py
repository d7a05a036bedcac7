"""A worker's share of the kernel objects, and the steps both of its loops are made of."""

from __future__ import annotations

import fcntl
import os
import select
import sys
import time
from _thread import get_ident
from collections import deque

from workpool import _frames as frames
from workpool._attached import forget
from workpool._quick import socket
from workpool._serialization import Serializer, loads, pack_error
from workpool._system import mail
from workpool._system.arena import LAYOUT_START, map_arena
from workpool._system.belt import Belt
from workpool._system.liveness import Liveness, ParentGone
from workpool._system.memory import copy_parts, read_parcel
from workpool._system.status_page import IDLE, MAIL, MAIL_READ, STOLEN, StatusPage
from workpool._worker.client import WorkerClient
from workpool._worker.hooks import Caller, print_traceback
from workpool._worker.reporter import Reporter
from workpool._worker.resolve import Entry
from workpool._worker_config import WorkerConfig
from workpool.errors import InternalError, TaskCancelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence
    from typing import Any


_FEW_PEERS = 4
"""Up to so many queues are tried one by one (0.7 us each when empty); of more, one `poll` finds those
that have something (5 us for 64)."""

_ATTEMPT_BYTES = 8

_FIONREAD = 0x541B  # as in termios, which workers need not import for it
_UNUSED = bytes(4)


class Worker:
    """What a worker process has: its place in the pool and the ways to its tasks."""

    def __init__(
        self,
        config: WorkerConfig,
        mailbox: socket.socket,
        reporter: Reporter,
        liveness: Liveness,
        client: WorkerClient,
        caller: Caller,
        entry: Entry,
    ) -> None:
        self.config = config
        self.mailbox = mailbox
        self.reporter = reporter
        self.liveness = liveness
        self.client = client
        self.caller = caller
        self.entry = entry
        self.stop_reason = ""
        """Why this worker is to end between tasks; empty while it is not."""
        self.on_cancel: Callable[[int], None] = lambda attempt: None
        self.on_message: Callable[[Any], None] = caller.finish
        self.on_retire: Callable[[], None] = lambda: None
        slot = config.slot
        self.page = StatusPage(config.status_page, len(config.queues), config.concurrency)
        self.words = self.page.words
        self._idle_word = self.page.field(slot, IDLE)
        self._mail_word = self.page.field(slot, MAIL)
        self._stolen_word = self.page.field(slot, STOLEN)
        self._mail_read_word = self.page.field(slot, MAIL_READ)
        self.mail_seen = 0
        self._mail_received = 0
        self.arena = memoryview(map_arena(config.arena))
        self.queue = config.queues[slot]
        others = [*range(slot + 1, len(config.queues)), *range(slot)]
        self._peers = [config.queues[peer] for peer in others]
        self._peer_poll = select.poll()
        for queue in self._peers:
            self._peer_poll.register(queue, select.POLLIN)
        self._all_poll = select.poll()
        for queue in config.queues:
            self._all_poll.register(queue, select.POLLIN)
        self._lockers = config.lockers
        self.pinned: deque[bytes] = deque()
        self.cells = [[self.page.token_cell(slot, lane)] for lane in range(self.page.lanes)]
        self._serializer = Serializer("worker")
        reporter.on_large = self._serializer.expect_long
        reporter.belt = Belt(self.page, slot)
        self._begun = 0
        self._dice = os.getpid()
        self._main_thread = get_ident()
        client._poll = self._poll_messages
        client._retire = self.retire

    # Taking tasks

    def claim(self, lane: int) -> bool:
        """Take a task into a lane: one's own first, else anybody's. Never blocks.

        The kernel writes the token into the lane in the same call that takes it from the queue, so
        whatever kills this process, the pool knows who had it.
        """
        return self.claim_own(lane) or self.steal(lane)

    def claim_own(self, lane: int) -> bool:
        """As `claim`, from the tasks pinned to this worker and its own queue only."""
        if self.pinned:
            # fault point: before a pinned task is taken
            self.cells[lane][0][:] = self.pinned.popleft()
            # fault point: pinned task taken
            return True
        try:
            if os.readv(self.queue, self.cells[lane]):
                return True
        except BlockingIOError:
            return False
        raise ParentGone

    def token(self, lane: int) -> tuple[int, int, int]:
        """Return (attempt, offset, length) of the task in a lane."""
        attempt, offset, length = frames.TOKEN.unpack(self.cells[lane][0])
        return attempt, offset, length

    def begun_word(self, lane: int) -> int:
        """Return the index of the word that says when the task in a lane began."""
        return self.page.begun_index(self.config.slot, lane)

    def load(self, offset: int, length: int) -> tuple[Any, Hashable | None, Any] | None:
        """Unpickle a task: (argument, key, meta); None if it was cancelled before it began.

        Raises `SerializationError`.
        """
        flags = self.arena[offset]
        data: Any = self.arena[offset + 1 : offset + length]
        buffers: Any = ()
        if flags & frames.PARCEL:
            # fault point: before the parcel is fetched
            data, buffers = read_parcel(self._fetch(offset), returnable=True)
        elif flags & frames.LAID_OUT:
            # fault point: before the buffers are copied
            data, buffers = copy_parts(self.arena[offset + LAYOUT_START : offset + length])
            # fault point: buffers copied
        if flags & frames.CANCELLED:
            return None
        value = loads(data, buffers, side="worker", subject="argument")
        if flags & frames.CONTEXT:
            key, meta, argument = value
            return argument, key, meta
        return value, None, None

    # Reporting

    def pack_result(self, value: Any) -> tuple[int, bytes, Sequence[Any]]:
        """Pack a result: kind of report, body, out-of-band buffers.

        Raises `SerializationError` if it cannot be pickled.
        """
        if value is None:
            return frames.NOTHING, b"", ()
        data = self._serializer.dumps(value, "result")
        return frames.RESULT, data, self._serializer.take_buffers()

    def pack_error(self, error: BaseException) -> tuple[int, bytes, Sequence[Any]]:
        """Pack what a task raised, without the frames of this package's loop."""
        return frames.ERROR, pack_error(error, side="worker", skip_frames=1), ()

    def report(self, attempt: int, cost: float, outcome: tuple[int, bytes, Sequence[Any]]) -> None:
        """Send a packed outcome; if the system will not have it, send that instead."""
        kind, body, buffers = outcome
        try:
            self.reporter.send(kind, attempt, body, cost, buffers)
        except OSError as error:
            self.report_refusal(attempt, cost, error)

    def report_refusal(self, attempt: int, cost: float, error: OSError) -> None:
        """Report that the system has no descriptor or no memory for an outcome."""
        kind, body, _ = self.pack_error(error)
        self.reporter.send(kind, attempt, body, cost)

    @property
    def tasks_left(self) -> int:
        """How many tasks it may begin before it is replaced, that which it runs included."""
        limit = self.config.max_tasks
        return sys.maxsize if limit is None else limit - self._begun

    def count_begun(self, count: int = 1) -> None:
        """Count tasks, and decide whether the last of them was this worker's last by number."""
        self._begun += count
        limit = self.config.max_tasks
        if limit is not None and self._begun >= limit:
            self.stop_reason = self.stop_reason or f"retired after {limit} tasks"

    def check_memory(self) -> None:
        """Decide whether this worker has grown too large to go on."""
        config = self.config
        if config.max_memory is not None and resident_bytes() > config.max_memory:
            self.stop_reason = self.stop_reason or "retired above its memory limit"

    def retire(self, reason: str) -> None:
        """End between tasks, now or after those that run."""
        self.stop_reason = self.stop_reason or reason
        self.on_retire()

    # Sleeping, and what wakes

    def raise_idle_flag(self) -> None:
        """Say that this worker sleeps or could take more. A last look round must follow."""
        self.words[self._idle_word] = time.perf_counter_ns()

    @property
    def anything_waits(self) -> bool:
        """Whether there is a task in any queue: the last look round.

        It takes nothing: a worker whose flag is up is counted on, so it must not hold a task.
        """
        # Takes the queue's lock, which `poll` does not: the flag is seen before any queue is looked at.
        fcntl.ioctl(self.queue, _FIONREAD, _UNUSED)
        return bool(self._all_poll.poll(0))

    def lower_idle_flag(self) -> None:
        """Say that this worker has no lane free."""
        self.words[self._idle_word] = 0

    @property
    def has_mail(self) -> bool:
        """Whether the pool has sent mail since it was last read."""
        return bool(self.words[self._mail_word] != self.mail_seen)

    def read_mail(self) -> None:
        """Read and act on all mail there is. Raises `ParentGone` at its end."""
        self.mail_seen = self.words[self._mail_word]
        # fault point: mail noted
        while True:
            try:
                data, descriptor = mail.receive(self.mailbox)
            except BlockingIOError:
                self.words[self._mail_read_word] = self._mail_received
                return
            except mail.DescriptorLost:
                self._mail_received += 1
                print_traceback()  # of a message; the parcels of tasks do not come as mail
                continue
            self._mail_received += 1
            if not data and descriptor is None:
                raise ParentGone
            # fault point: mail received
            self._handle(data[:1], data[1:], descriptor)

    def _handle(self, tag: bytes, body: bytes, descriptor: int | None) -> None:
        if tag == frames.MAIL_MESSAGE:
            self._handle_message(body, descriptor)
        elif tag == frames.MAIL_TASK and not len(body) % frames.TOKEN.size:
            size = frames.TOKEN.size
            self.pinned.extend(body[start : start + size] for start in range(0, len(body), size))
        elif tag == frames.MAIL_CANCEL and len(body) == _ATTEMPT_BYTES:
            self.on_cancel(int.from_bytes(body, "little"))
        elif tag == frames.MAIL_FORGET:
            forget(body)
        elif tag == frames.MAIL_GIVE_BACK:
            self.reporter.give_belt_back()
        elif tag == frames.MAIL_STOP:
            self.stop_reason = self.stop_reason or "asked to stop"
        elif tag != frames.MAIL_LOOK_ROUND:
            raise InternalError(f"something that is no mail came: {tag + body[:20]!r}")

    def _handle_message(self, body: bytes, descriptor: int | None) -> None:
        try:
            if descriptor is not None:
                body = bytes(read_parcel(descriptor)[0])
            kind, content = loads(body, side="worker", subject="message")
            for handler in self.client.handlers(kind):
                self.on_message(handler(content, self.client))
        except TaskCancelled:
            raise  # meant for the task that looks at its messages
        except Exception:  # noqa: BLE001 - the user's handler must not end the worker
            print_traceback()

    def _poll_messages(self) -> None:
        if get_ident() == self._main_thread and self.has_mail:
            self.read_mail()

    def steal(self, lane: int) -> bool:
        """Look through the other queues, from a random one on so that thieves spread out."""
        for queue in self._victims():
            try:
                taken = os.readv(queue, self.cells[lane])
            except BlockingIOError:
                continue
            if taken:
                # fault point: stolen
                self.words[self._stolen_word] += 1
                return True
        return False

    def _victims(self) -> list[int]:
        """Return the queues worth a try: those of all peers, or of many those with a task."""
        queues = self._peers
        if len(queues) > _FEW_PEERS:
            queues = [queue for queue, _ in self._peer_poll.poll(0)]
        if len(queues) > 1:
            self._dice = (self._dice * 1103515245 + 12345) & 0x7FFFFFFF
            start = (self._dice >> 8) % len(queues)
            queues = queues[start:] + queues[:start]
        return queues

    def _fetch(self, offset: int) -> int:
        start = offset + 1
        number = int.from_bytes(self.arena[start : start + 4], "little")
        locker = socket.socket(fileno=self._lockers[number])
        try:
            _, descriptor = mail.receive(locker)
        finally:
            locker.detach()
        # fault point: parcel fetched
        if descriptor is None:
            raise InternalError("the locker of a large payload had no descriptor in it")
        return descriptor


def resident_bytes() -> int:
    """Return how much physical memory this process uses."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
