"""The dispatcher: carries out the scheduler's decisions. Packs tasks and puts them in the queues."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from workpool._frames import (
    CANCELLED,
    CONTEXT,
    MAIL_CANCEL,
    MAIL_LOOK_ROUND,
    MAIL_TASK,
    PARCEL,
    PARCEL_RECORD_BYTES,
    TOKEN,
    task_of_attempt,
)
from workpool._ledger import Ledger
from workpool._scheduler import Scheduler
from workpool._serialization import Serializer
from workpool._system.arena import MOST_CHUNKS, RECORD_LIMIT, Arena
from workpool._system.mail import Locker
from workpool._system.memory import write_parcel
from workpool._system.status_page import IDLE, MAIL, MAIL_READ, StatusPage
from workpool._system.token_queue import TokenQueue
from workpool._worker_process import RETIRING
from workpool.errors import SerializationError

if TYPE_CHECKING:
    from workpool._task import Task
    from workpool._worker_process import WorkerProcess

_SPARE_CHUNKS = 64  # 4 MiB of address space; a chunk is touched only when it is needed

_MOST_LOCKERS = 16
"""Enough: a parcel is in its locker only until a worker takes its task, and two descriptors each."""


class NoRoom(Exception):
    """The arena or the lockers are full; a task that ends makes room."""


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
            self.arena = Arena(min(_SPARE_CHUNKS + 4 * slots * page.lanes, MOST_CHUNKS))
            undo.callback(self.arena.close)
            for _ in range(slots):
                self.queues.append(TokenQueue())
                undo.callback(self.queues[-1].close)
            for _ in range(min(slots + 2, _MOST_LOCKERS)):
                self.lockers.append(Locker())
                undo.callback(self.lockers[-1].close)
            undo.pop_all()
        self._lockers_in_use: dict[int, int] = {}  # locker -> attempt
        self._scheduler = scheduler
        self._ledger = ledger
        self._workers = workers
        self._fail = fail
        self._serializer = Serializer("pool")
        self.on_timed: Callable[[float], None] = lambda timeout: None
        """Told the timeout of every dispatched task that has one."""
        self.on_no_room: Callable[[], None] = lambda: None
        """Told when tasks had to stay behind although workers may be free for them."""
        self._too_large: Task[Any] | None = None

    def flush(self) -> None:
        """Send what the scheduler wants sent now. Never blocks; does nothing once closed."""
        if self.closed:
            return
        for slot, tasks in self._scheduler.plan():
            if not self.send(slot, tasks):
                return

    def send(self, slot: int, tasks: list[Task[Any]]) -> bool:
        """Send tasks that are placed on a slot; return False if some had to wait for room."""
        tokens: list[bytes] = []
        sent: list[Task[Any]] = []
        unsent: list[Task[Any]] = []
        for index, task in enumerate(tasks):
            try:
                token = self._token(task)
            except NoRoom:
                unsent = tasks[index:]
                self.on_no_room()
                break
            except (SerializationError, OSError) as error:
                self._scheduler.finished(task)
                self._fail(task, error)
                continue
            if task._settings.pinned:
                self.post_work(slot, MAIL_TASK + token)
            else:
                tokens.append(token)
                sent.append(task)
        pushed = self._push(slot, tokens, sent)
        for task in sent[pushed:]:
            self.withdraw(task)
        for task in unsent:
            self._scheduler.finished(task)
        self._scheduler.put_back(sent[pushed:] + unsent)
        if pushed:
            self._wake_idle(slot, pushed)
        return pushed == len(sent) and not unsent

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
        for number, attempt in list(self._lockers_in_use.items()):
            if task_of_attempt(attempt) == task.id and not self.lockers[number].empty:
                self.lockers[number].clear()
        self.release(task)

    def mark_cancelled(self, task: Task[Any]) -> None:
        """Let the worker that takes a dispatched task skip it."""
        self.arena.add_flag(task.offset, CANCELLED)

    def post(self, slot: int, data: bytes, descriptor: int | None = None) -> None:
        """Send mail to a slot's worker, if it has one. Takes over the descriptor."""
        worker = self._workers[slot]
        if worker is not None:
            worker.post(data, descriptor)
        elif descriptor is not None:
            os.close(descriptor)

    def post_work(self, slot: int, data: bytes, descriptor: int | None = None) -> None:
        """Send mail that its worker may do before, and instead of, what lies in the queues.

        So others are woken for that, also for the one task that the worker was counted on for.
        """
        worker = self._workers[slot]
        if worker is not None:
            # Read before the mail is sent: a sleep that begins after it is not ended by it.
            worker.woken_from = self.page.words[self.page.field(slot, IDLE)]
        self.post(slot, data, descriptor)
        if worker is not None and self._ledger.dispatched:
            self.wake(self.tokens_waiting(), but=slot)

    def count_mail(self, slot: int) -> None:
        """Tell a busy worker that mail is there; to be called after it was sent."""
        self.page.words[self.page.field(slot, MAIL)] += 1

    def post_cancel(self, slot: int, attempt: int) -> None:
        """Ask an async worker to cancel a running attempt."""
        self.post(slot, MAIL_CANCEL + attempt.to_bytes(8, "little"))

    def wake(self, count: int, but: int = -1) -> None:
        """Have up to `count` sleeping workers look round, each once per sleep.

        Those that were counted on for a task in their own queue are told as well, beyond the count:
        a thief may take that task before they are up, and they would sleep on, while the thief
        was to look for another.
        """
        if count <= 0:
            return
        words, field = self.page.words, self.page.field
        for worker in self._workers:
            if worker is None or worker.slot == but or worker.state == RETIRING:
                continue
            asleep_since = words[field(worker.slot, IDLE)]
            if not asleep_since or worker.woken_from == asleep_since:
                continue
            if not self._gets_up_for_something(worker, asleep_since):
                if not count:
                    continue
                count -= 1
            self._have_look_round(worker, asleep_since)

    def tokens_waiting(self, slot: int | None = None) -> int:
        """Return how many tokens nobody has taken, in one queue or in all."""
        if self.closed:
            return 0
        queues = self.queues if slot is None else [self.queues[slot]]
        return sum(queue.waiting() for queue in queues)

    def drain(self) -> list[Task[Any]]:
        """Take every task out of every queue."""
        taken = []
        for queue in self.queues:
            for attempt, _, _ in queue.drain():
                task = self._ledger.withdraw(attempt)
                if task is not None:
                    self.reclaim(task)
                    taken.append(task)
        return taken

    def close(self) -> None:
        """Close everything. Workers that still run keep what they hold."""
        self.closed = True
        for queue in self.queues:
            queue.close()
        for locker in self.lockers:
            locker.close()
        self.arena.close()
        self.page.close()

    def _push(self, slot: int, tokens: list[bytes], sent: list[Task[Any]]) -> int:
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
                self._fail(task, error)
            return 0

    def _wake_idle(self, slot: int, pushed: int) -> None:
        """Wake thieves for what the owner of a queue cannot begin now.

        After the push, in this order: a worker raises its idle flag before its last look round,
        so either that look finds the tokens or this one finds the flag.
        """
        owner = self._workers[slot]
        asleep_since = self.page.words[self.page.field(slot, IDLE)]
        surplus = pushed
        if (
            owner is not None
            and asleep_since
            and asleep_since != owner.woken_from
            and not self._gets_up_for_something(owner, asleep_since)
            and owner.state != RETIRING
        ):
            # The push itself wakes the owner, for one task; once per sleep, however long it takes
            # to get up, and not if it is getting up for another. While a thief may be about, it is
            # told as well: see `wake`.
            surplus -= 1
            owner.fed_from = asleep_since
            if len(self._ledger.dispatched) > pushed:
                self._have_look_round(owner, asleep_since)
        if surplus:
            self.wake(surplus, but=slot)

    def _gets_up_for_something(self, worker: WorkerProcess, asleep_since: int) -> bool:
        """Whether a sleeper was counted on for a task, or has mail that it will act on first."""
        words, first = self.page.words, self.page.field(worker.slot, 0)
        return worker.fed_from == asleep_since or words[first + MAIL] != words[first + MAIL_READ]

    @staticmethod
    def _have_look_round(worker: WorkerProcess, asleep_since: int) -> None:
        worker.woken_from = asleep_since
        worker.post(MAIL_LOOK_ROUND)

    def _token(self, task: Task[Any]) -> bytes:
        """Pack a task: its record goes into the arena, its token is returned."""
        if task is self._too_large:
            self._free_locker()  # raises NoRoom before the argument is pickled again for nothing
            self._too_large = None
        if task.key is None and task.meta is None:
            flags = 0
            data = self._serializer.dumps(task.argument, "argument")
        else:
            flags = CONTEXT
            data = self._dumps_with_context(task)
        length = len(data) + 1
        if self._serializer.buffers or length > RECORD_LIMIT:
            return self._parcel_token(task, flags | PARCEL, data)
        offset = self.arena.write(flags, data)
        if offset < 0:
            raise NoRoom
        return self._enter(task, offset, length)

    def _dumps_with_context(self, task: Task[Any]) -> bytes:
        try:
            return self._serializer.dumps((task.key, task.meta, task.argument), "argument")
        except SerializationError:
            # Find out which of the three it was, for the error.
            self._serializer.dumps(task.key, "key")
            self._serializer.dumps(task.meta, "meta")
            self._serializer.dumps(task.argument, "argument")
            raise

    def _enter(self, task: Task[Any], offset: int, length: int) -> bytes:
        task.offset = offset
        attempt = self._ledger.dispatch(task)
        timeout = task._settings.timeout
        if timeout is not None:
            self.on_timed(timeout)
        return TOKEN.pack(attempt, offset, length)

    def _parcel_token(self, task: Task[Any], flags: int, data: bytes) -> bytes:
        self._too_large = task
        number = self._free_locker()
        self._too_large = None
        offset = self.arena.write(flags, number.to_bytes(4, "little"))
        if offset < 0:
            raise NoRoom
        try:
            self.lockers[number].put(write_parcel(data, self._serializer.take_buffers()))
        except OSError:
            self.arena.free(offset)
            raise
        token = self._enter(task, offset, PARCEL_RECORD_BYTES)
        self._lockers_in_use[number] = self._ledger.attempt_of(task) or 0
        return token

    def _free_locker(self) -> int:
        for number, locker in enumerate(self.lockers):
            if locker.empty:
                self._lockers_in_use.pop(number, None)
                return number
        for number, attempt in self._lockers_in_use.items():
            if attempt not in self._ledger.dispatched:
                self.lockers[number].clear()  # its task was over before its parcel could be fetched
                return number
        raise NoRoom
