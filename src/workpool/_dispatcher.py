"""The dispatcher: carries out the scheduler's decisions. Packs tasks and puts them in the queues."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from workpool._batch import Batch
from workpool._frames import CANCELLED, MAIL_TASK, TOKEN
from workpool._large_payloads import BYTES_AHEAD, LargePayloads
from workpool._ledger import Ledger
from workpool._packer import Packer
from workpool._scheduler import Scheduler
from workpool._system.arena import CHUNK_BYTES, MOST_CHUNKS, Arena
from workpool._system.mail import Locker
from workpool._system.status_page import StatusPage
from workpool._system.token_queue import TokenQueue
from workpool._wakeups import Wakeups

if TYPE_CHECKING:
    from workpool._task import Task
    from workpool._worker_process import WorkerProcess

_SPARE_CHUNKS = 64  # 4 MiB of address space; a chunk is touched only when it is needed

_MOST_LOCKERS = 16
"""Enough: a parcel is in its locker only until a worker takes its task, and two descriptors each."""

_MOST_SPAN_BYTES = 1 << 30
"""Address space; when it is full payloads travel as parcels."""

_TOKENS_PER_MAIL = 16 * TOKEN.size  # bytes


class Dispatcher:
    """Owns the kernel objects that tasks travel in: queues, arena, lockers, status page.

    Making it raises `OSError` when there are not enough descriptors; then none is kept.

    `workers` is the fleet's list of workers by slot; `fail` ends a task with an error.
    """

    def __init__(
        self,
        page: StatusPage,
        scheduler: Scheduler[Task[Any]],
        ledger: Ledger[Task[Any]],
        workers: list[WorkerProcess | None],
        fail: Callable[[Task[Any], BaseException], None],
    ) -> None:
        slots = len(workers)
        self.closed = False
        self.page = page
        self.queues: list[TokenQueue] = []
        self.lockers: list[Locker] = []
        with ExitStack() as undo:
            undo.callback(page.close)
            span_bytes = min(2 * BYTES_AHEAD * slots, _MOST_SPAN_BYTES)
            chunks = _SPARE_CHUNKS + 4 * slots * page.lanes
            self.arena = Arena(min(chunks, MOST_CHUNKS - span_bytes // CHUNK_BYTES), span_bytes)
            undo.callback(self.arena.close)
            for _ in range(slots):
                self.queues.append(TokenQueue())
                undo.callback(self.queues[-1].close)
            for _ in range(min(slots + 2, _MOST_LOCKERS)):
                self.lockers.append(Locker())
                undo.callback(self.lockers[-1].close)
            undo.pop_all()
        self._scheduler = scheduler
        self._ledger = ledger
        self._fail = fail
        self.wakeups = Wakeups(page, self.queues, ledger, workers)
        self.large = LargePayloads(
            page, self.arena, self.lockers, scheduler, ledger, self.wakeups.post
        )
        self.packer = Packer(self.arena, self.large, scheduler, ledger, fail)

    def flush(self) -> None:
        """Send what the scheduler wants sent now. Never blocks; does nothing once closed."""
        if self.closed:
            return
        for slot, tasks in self._scheduler.plan():
            if not self.send(slot, tasks):
                return

    def send(self, slot: int, tasks: list[Task[Any]]) -> bool:
        """Send tasks that are placed on a slot; return False if some had to wait for room.

        All of them pinned, or none.
        """
        sent: list[Task[Any]] = []
        tokens, unsent = self.packer.pack(tasks, sent) if tasks else (b"", tasks)
        if sent and sent[0]._settings.pinned:
            for start in range(0, len(tokens), _TOKENS_PER_MAIL):
                mail = MAIL_TASK + tokens[start : start + _TOKENS_PER_MAIL]
                self.wakeups.post_work(slot, mail)
            pushed = len(sent)
        else:
            pushed = self._push(slot, tokens, sent)
            if pushed:
                self.wakeups.wake_for(slot, pushed)
        return self._take_back(sent[pushed:], unsent)

    def send_alone(self, slot: int, task: Task[Any]) -> int:
        """As `send` for one task that is not pinned: the shortest way for one that somebody waits for.

        Returns how many thieves are still to be woken: one if the worker is awake, which may have
        something else to do than to take the task.
        """
        sent: list[Task[Any]] = []
        unsent: list[Task[Any]] = []
        token = self.packer.pack_plain(task)
        if token:
            sent.append(task)
        else:
            token, unsent = self.packer.pack([task], sent)
        if self._push(slot, token, sent):
            return self.wakeups.count_on_owner(slot, 1)
        self._take_back(sent, unsent)
        return 0

    def _take_back(self, unpushed: list[Task[Any]], unsent: list[Task[Any]]) -> bool:
        """Let tasks wait again for which there was no room; return whether there are none."""
        if not (unpushed or unsent):
            return True
        for task in unpushed:
            self.withdraw(task)
        for task in unsent:
            self._scheduler.finished(task)
        self._scheduler.put_back(unpushed + unsent)
        return False

    def release(self, task: Task[Any]) -> None:
        """Give back what a task that has left the kernel took up there."""
        self.arena.free(task.offset)
        self._scheduler.finished(task)

    def withdraw(self, task: Task[Any]) -> None:
        """Undo the dispatch of a task that no worker can have begun."""
        attempt = self._ledger.attempt_of(task)
        if attempt is not None:
            self._ledger.withdraw(attempt)
        self.reclaim(task)

    def reclaim(self, task: Task[Any]) -> None:
        """As `release`, for one whose parcel may not have been fetched."""
        self.large.reclaim(task)
        self.release(task)

    def mark_cancelled(self, task: Task[Any]) -> None:
        """Let the worker that takes a dispatched task skip it."""
        offset = task.offset if task.batch is None else task.batch.flag_offset(task)
        self.arena.add_flag(offset, CANCELLED)

    def drain(self) -> list[Task[Any]]:
        """Take every task out of every queue."""
        taken = []
        for queue in self.queues:
            for attempt, _, _ in queue.drain():
                task = self._ledger.withdraw(attempt)
                if task is not None:
                    self.reclaim(task)
                    taken += task.take_from(0) if isinstance(task, Batch) else [task]
        return taken

    def close(self) -> None:
        """Close everything. Workers that still run keep what they hold."""
        self.closed = True
        while self.queues:
            self.queues.pop().close()
        for locker in self.lockers:
            locker.close()
        self.arena.close()
        self.page.close()
        self.large.close()

    def _push(self, slot: int, tokens: bytes, sent: list[Task[Any]]) -> int:
        """Put tokens into a queue; return how many went in. If the system refuses, their tasks fail."""
        if not tokens:
            return 0
        try:
            return self.queues[slot].push(tokens)
        except OSError as error:
            refused = sent.copy()
            sent.clear()
            for task in refused:
                self.withdraw(task)
                for each in task.take_from(0) if isinstance(task, Batch) else (task,):
                    self._fail(each, error)
            return 0
