"""The loop of a worker with a synchronous entrypoint: take, run, report, sleep."""

from __future__ import annotations

import select
import time
from _thread import get_ident
from os import readv
from types import CoroutineType

from workpool import _frames as frames
from workpool._quick import pickle
from workpool._serialization import PLAIN_TYPES, unreadable
from workpool._system.liveness import ParentGone
from workpool._system.status_page import CONDEMNED, INTERRUPT, MAIL, REPORTS_READ
from workpool._system.vigil import Vigil
from workpool._worker.batches import BatchRunner
from workpool._worker.chunks import Chunk, ChunkRunner, WorkDone
from workpool._worker.client import NextTask, no_claim
from workpool._worker.hooks import with_client
from workpool._worker.interrupts import Interruptible
from workpool._worker.resolve import takes_client
from workpool._worker.worker import Worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from typing import Any

_LANES = (0, 1)

_SAFE_UNREAD = 24 << 10
"""Bytes in the report pipe at which one more report surely finds room: it holds 64 KiB, of which small
writes may waste nearly half."""

_NO_VALUE: tuple[int, bytes, Sequence[Any]] = (frames.NOTHING, b"", ())

_NOTHING: Any = None
_clock = time.perf_counter_ns
_unpack = frames.TOKEN.unpack
_loads, _dumps = pickle.loads, pickle.dumps


class _Skipped(Exception):
    """The task was cancelled before it began."""


def serve(worker: Worker) -> str:
    """Run tasks until told to stop; return the reason. Raises `ParentGone`."""
    return _SyncLoop(worker).run()


class _Claimed:
    """The task in the other lane, loaded before it begins."""

    __slots__ = ("error", "work")

    def __init__(self, work: tuple[Any, Hashable | None, Any] | None) -> None:
        self.work = work
        """Argument, key and meta; None if it was cancelled, or cannot be loaded."""
        self.error: BaseException | None = None


class _SyncLoop:
    """Takes the next task *before* it reports the last, into the other of its two lanes.

    So when a report goes out with nothing to follow, the worker has already taken off the signal
    that would kill it with its parent: a parent that ends as soon as it has its last result finds
    an idle worker, which runs its exit hook.
    """

    def __init__(self, worker: Worker) -> None:
        slot, page = worker.config.slot, worker.page
        self._worker = worker
        self._call = with_client(worker.entry.function, worker.client)
        hook = worker.entry.pre_task
        self._pre_task = None if hook is None else with_client(hook, worker.client)
        by_items = hook is not None or takes_client(worker.entry.function)
        self._chunks = ChunkRunner(worker, self._call, by_items=by_items)
        self._limited = worker.config.max_tasks is not None or worker.config.max_memory is not None
        self._words = worker.words
        self._arena = worker.arena
        self._cells = [page.token_cell(slot, lane) for lane in _LANES]
        self._begun_words = [page.begun_index(slot, lane) for lane in _LANES]
        self._read_word = page.field(slot, REPORTS_READ)
        self._condemned_word = page.field(slot, CONDEMNED)
        self._interrupt_word = page.field(slot, INTERRUPT)
        self._mail_word = page.field(slot, MAIL)
        self._interruptible = Interruptible(worker.words, self._interrupt_word)
        worker.reporter.interruptible = self._interruptible
        self._current: tuple[int, Hashable | None, Any] | None = None
        self._claimed: _Claimed | None = None
        self._found_empty = False
        """Whether this worker's own queue was empty just now: a look round can wait for the last one."""
        worker.client._current = lambda: self._current
        worker.client._claim_next = self._claim_next
        self._batches = BatchRunner(
            worker, self._call, self._interruptible, self._wait_while_condemned
        )
        self._mailbox = worker.mailbox.fileno()
        self._poll = select.poll()
        self._poll.register(worker.queue, select.POLLIN)
        self._poll.register(worker.mailbox, select.POLLIN)
        self._vigil = Vigil(self._poll, len(worker.config.queues))

    def run(self) -> str:
        """Run tasks until there is a reason to end; return it."""
        worker, liveness, lane = self._worker, self._worker.liveness, 0
        while True:
            if worker.has_mail:
                worker.read_mail()
            if worker.stop_reason:
                return worker.stop_reason
            # fault point: before the claim
            if not worker.claim(lane):
                self._sleep()
                continue
            if not liveness.guarded:
                liveness.guard()
            lane = self._run_from(lane)
            if self._found_empty:
                self._found_empty = False
                self._sleep()
            if self._limited:
                worker.count_begun()
                worker.check_memory()

    def _sleep(self) -> None:
        """Sleep until there may be something to do.

        The flag goes up before the last look round, and a producer pushes before it reads the
        flags: whichever comes first, one side sees the other, and no wake-up is lost.
        """
        worker = self._worker
        worker.raise_idle_flag()
        try:
            # fault point: idle flag raised
            if worker.anything_waits or worker.has_mail:
                return
            # fault point: after the last look
            worker.liveness.relax()
            # fault point: before the poll
            events = self._vigil.wait()
        finally:
            worker.lower_idle_flag()
        # fault point: woken
        for descriptor, event in events:
            if event & (select.POLLHUP | select.POLLERR):
                raise ParentGone
            if descriptor == self._mailbox:
                # fault point: woken by mail
                worker.read_mail()

    def _run_from(self, lane: int) -> int:  # noqa: C901 - see below
        """Run the task in a lane, and those taken after it; return the lane that is free then.

        The hottest code there is. A tiny task costs as much as what is around it here, so what
        applies to nearly every task stands here in full, and everything is a local variable.
        """
        worker, words, arena = self._worker, self._words, self._arena
        liveness, reporter, interruptible = worker.liveness, worker.reporter, self._interruptible
        cells, begun_words, queue = self._cells, self._begun_words, worker.queue
        interrupt_word, condemned_word = self._interrupt_word, self._condemned_word
        call, pre_task, clock, loads, dumps = self._call, self._pre_task, _clock, _loads, _dumps
        while True:
            attempt, offset, length = _unpack(cells[lane])
            # The time is written before the mark is read: see Interrupts, step 2.
            # fault point: claimed
            words[begun_words[lane]] = start = clock()
            try:
                # fault point: begun
                if arena[offset] or self._claimed is not None:
                    argument = self._load(lane, attempt, offset, length)
                else:
                    self._current = (attempt, None, None)
                    try:
                        argument = loads(arena[offset + 1 : offset + length])
                    except Exception as error:
                        raise unreadable("argument", "worker", error) from error
                interruptible.attempt = attempt
                try:
                    if words[interrupt_word] == attempt:
                        interruptible.begin(attempt)
                    if argument.__class__ is Chunk:
                        self._chunks.run(attempt, argument)  # raises WorkDone
                    if pre_task is not None:
                        start = self._run_pre_task(attempt, argument)
                    # fault point: before the call
                    value = call(argument)
                    # fault point: after the call
                    if liveness.forked:
                        raise SystemExit(0)  # a child that the task forked ends with its function
                    if value.__class__ is CoroutineType:
                        value = worker.caller.finish(value)
                finally:
                    interruptible.attempt = 0
                cost = (clock() - start) / 1e9
                if value is None:
                    kind, body, buffers = _NO_VALUE
                elif value.__class__ in PLAIN_TYPES:
                    kind, body, buffers = frames.RESULT, dumps(value, 5), ()
                else:
                    kind, body, buffers = worker.pack_result(value)
            except WorkDone as done:
                cost, kind, body, buffers = done.args
            except _Skipped:
                cost, kind, body, buffers = 0.0, frames.SKIPPED, b"", ()
            except BaseException as error:
                if liveness.forked:
                    raise
                cost = (clock() - start) / 1e9
                kind, body, buffers = worker.pack_error(error)
            # fault point: before the next is taken
            self._current = None
            if self._claimed is not None:
                taken = True
            elif not self._may_take_ahead:
                taken = False
            elif worker.pinned:
                taken = worker.claim_own(1 - lane)
            else:
                try:
                    taken = readv(queue, worker.cells[1 - lane]) > 0
                except BlockingIOError:
                    taken, self._found_empty = False, True
            # fault point: the next is taken
            if not taken:
                liveness.relax()
            # fault point: before the report
            try:
                reporter.send(kind, attempt, body, cost, buffers)
            except OSError as error:
                worker.report_refusal(attempt, cost, error)
            # fault point: reported
            words[begun_words[lane]] = 0
            # fault point: cleared
            if words[condemned_word]:
                self._wait_while_condemned(attempt)
            value = argument = buffers = _NOTHING  # their ends belong to this task, not to the next
            lane = 1 - lane
            if not taken:
                return lane

    @property
    def _may_take_ahead(self) -> bool:
        """Whether the next task may be taken before the last is reported.

        Not when this worker may have to end, and not when the report could have to wait because the
        pool does not read: the task would wait with it, and nobody could steal it.
        """
        worker, words = self._worker, self._words
        return not (
            words[self._mail_word] != worker.mail_seen
            or self._limited
            or worker.stop_reason
            or words[self._condemned_word]
            or worker.reporter.written - words[self._read_word] >= _SAFE_UNREAD
        )

    def _load(self, lane: int, attempt: int, offset: int, length: int) -> Any:
        """Load an argument that is not just a pickle in the arena; run what is no single task."""
        if self._arena[offset] & frames.BATCH:
            self._batches.run(lane, attempt, offset, length)  # raises WorkDone
        work = self._load_claimed(offset) if self._claimed else self._worker.load(offset, length)
        if work is None:
            raise _Skipped
        argument, key, meta = work
        self._current = (attempt, key, meta)
        return argument

    def _load_claimed(self, offset: int) -> tuple[Any, Hashable | None, Any] | None:
        claimed, self._claimed = self._claimed, None
        assert claimed is not None
        if claimed.error is not None:
            raise claimed.error
        return None if self._arena[offset] & frames.CANCELLED else claimed.work

    def _claim_next(self) -> NextTask | None:
        """See `WorkerClient.claim_next`."""
        worker, current = self._worker, self._current
        if current is None or worker.liveness.forked or get_ident() != self._interruptible.thread:
            return no_claim()
        if worker.has_mail:
            worker.read_mail()
        lane = next(lane for lane in _LANES if worker.token(lane)[0] != current[0])
        self._interruptible.shielded = True  # what is taken must be noted
        try:
            if self._claimed is None and not self._take_ahead(lane):
                return None
        finally:
            self._interruptible.unshield()
        assert self._claimed is not None
        if self._claimed.work is None:
            return None
        argument, key, meta = self._claimed.work
        if argument.__class__ is Chunk:
            argument = argument.items[0]
        return NextTask(frames.task_of_attempt(worker.token(lane)[0]), key, meta, argument)

    def _take_ahead(self, lane: int) -> bool:
        worker = self._worker
        if not (self._may_take_ahead and worker.claim(lane)):
            return False
        self._claimed = claimed = _Claimed(None)
        # fault point: claimed ahead
        _, offset, length = worker.token(lane)
        try:
            claimed.work = worker.load(offset, length)
        except BaseException as error:  # noqa: BLE001 - it is that task's, and raised when its turn comes
            claimed.error = error
        return True

    def _wait_while_condemned(self, attempt: int) -> None:
        """Begin nothing while the pool decides whether to kill this worker: Interrupts, step 3."""
        self._worker.liveness.guard()  # if the pool ends meanwhile, so does this
        # fault point: condemned
        while self._words[self._condemned_word] == attempt:
            time.sleep(0.001)

    def _run_pre_task(self, attempt: int, argument: Any) -> int:
        """Run the hook; return when it had ended, which is when the task proper begins."""
        assert self._pre_task is not None
        start = _clock()
        self._worker.caller.run(self._pre_task, argument)
        end = _clock()
        self._worker.reporter.send(frames.PRE_TASK_COST, attempt, b"", (end - start) / 1e9)
        return _clock()
