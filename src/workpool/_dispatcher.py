"""The dispatcher: carries out the scheduler's decisions. Packs tasks and puts them in the queues."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from workpool._batch import Batch
from workpool._frames import (
    CANCELLED,
    CONTEXT,
    LAID_OUT,
    MAIL_CANCEL,
    MAIL_GIVE_BACK,
    MAIL_LOOK_ROUND,
    MAIL_TASK,
    PARCEL,
    TOKEN,
    pack_tokens,
    task_of_attempt,
)
from workpool._ledger import Ledger
from workpool._scheduler import DEPTH_TASKS, Scheduler
from workpool._serialization import PLAIN_TYPES, Serializer
from workpool._system.arena import (
    CHUNK_BYTES,
    MOST_CHUNKS,
    RECORD_LIMIT,
    SPAN_LIMIT,
    Arena,
)
from workpool._system.belt import BeltReader
from workpool._system.mail import Locker
from workpool._system.memory import laid_out, payload_bytes
from workpool._system.parcel_writer import ParcelWriter
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

_BYTES_AHEAD = 2 * SPAN_LIMIT
"""Large payloads that wait in a queue, all together; two tasks in any case. More would be written to
memory that is in no cache, and take it from others."""

_MOST_SPAN_BYTES = 1 << 30
"""Address space; when it is full payloads travel as parcels."""

_FEW_AHEAD_FOR = 32
"""Runs of tasks without a large payload after which none is expected any more."""

_TOKENS_PER_MAIL = 16 * TOKEN.size  # bytes
_NO_FLAGS = b"\0"
_FLAGS = [bytes((flags,)) for flags in range(256)]
_dumps = pickle.dumps


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
            span_bytes = min(2 * _BYTES_AHEAD * slots, _MOST_SPAN_BYTES)
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
        self._lockers_in_use: dict[int, int] = {}  # locker -> attempt
        self._scheduler = scheduler
        self._ledger = ledger
        self._workers = workers
        self._fail = fail
        self._serializer = Serializer("pool")
        self.belts = BeltReader(page)
        self._belts_used: set[int] = set()  # slots
        self._bytes_each = 0  # about so large are payloads just now; 0: not large
        self._runs_without_large = 0
        self._carried = 0  # large payloads of this run, bytes
        self.parcels = ParcelWriter(self._give_memory_back)
        self.on_timed: Callable[[float], None] = lambda timeout: None
        """Told the timeout of every dispatched task that has one."""
        self.on_batch: Callable[[], None] = lambda: None
        """Told when a batch has been packed."""
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
        """Send tasks that are placed on a slot; return False if some had to wait for room.

        All of them pinned, or none.
        """
        sent: list[Task[Any]] = []
        if self._bytes_each:
            self._begin_run()
        tokens, unsent = self._pack(tasks, sent) if tasks else (b"", tasks)
        if sent and sent[0]._settings.pinned:
            for start in range(0, len(tokens), _TOKENS_PER_MAIL):
                self.post_work(slot, MAIL_TASK + tokens[start : start + _TOKENS_PER_MAIL])
            pushed = len(sent)
        else:
            pushed = self._push(slot, tokens, sent)
            for task in sent[pushed:]:
                self.withdraw(task)
            if pushed:
                self._wake_idle(slot, pushed)
        for task in unsent:
            self._scheduler.finished(task)
        if unsent or pushed < len(sent):
            self._scheduler.put_back(sent[pushed:] + unsent)
            return False
        return True

    def send_alone(self, slot: int, task: Task[Any]) -> None:
        """As `send` for one task: the shortest way for a plain one, which somebody waits for."""
        if not task._settings.plain or task.argument.__class__ not in PLAIN_TYPES:
            self.send(slot, [task])
            return
        record, sent = _NO_FLAGS + _dumps(task.argument, 5), [task]
        try:
            token = self._enter(sent, [record]) if len(record) <= RECORD_LIMIT else b""
        except NoRoom:
            token = b""
        if not token:
            self.send(slot, sent)
        elif self._push(slot, token, sent):
            self._wake_idle(slot, 1)
        elif sent:
            self.withdraw(task)
            self._scheduler.put_back(sent)

    def _pack(self, tasks: list[Task[Any]], sent: list[Task[Any]]) -> tuple[bytes, list[Task[Any]]]:
        """Pack tasks: their records go into the arena, their tokens are returned, and what is left.

        What is left is for another time: there is no room. Those that are packed are added to `sent`;
        those that cannot be have failed.
        """
        # A few calls per task, because a tiny one costs as much as this. So records are collected,
        # and written and entered together.
        if isinstance(tasks[0], Batch):
            return self._pack_batch(tasks[0], sent)
        tokens: list[bytes] = []
        packed: list[Task[Any]] = []
        records: list[bytes] = []
        length, index = 0, 0
        try:
            for index, task in enumerate(tasks):
                argument = task.argument
                record = b""
                if argument.__class__ in PLAIN_TYPES and task.key is None and task.meta is None:
                    record = _NO_FLAGS + _dumps(argument, 5)
                if not record or len(record) > RECORD_LIMIT:  # an int may be long
                    try:
                        flags, data = self._pickle(task)
                        if self._serializer.buffers or len(data) >= RECORD_LIMIT:
                            tokens.append(self._enter(packed, records))
                            sent += packed
                            packed, records, length = [], [], 0
                            tokens.append(self._large_token(task, flags, data))
                            sent.append(task)
                            self._leave_what_is_too_much(tasks, index + 1)
                            continue
                    except (SerializationError, OSError) as error:
                        self._scheduler.finished(task)
                        self._fail(task, error)
                        continue
                    record = _FLAGS[flags] + data
                length += len(record)
                if length > RECORD_LIMIT:
                    tokens.append(self._enter(packed, records))
                    sent += packed
                    packed, records, length = [], [], len(record)
                packed.append(task)
                records.append(record)
            index = len(tasks)
            tokens.append(self._enter(packed, records))
            sent += packed
            packed = []
        except NoRoom:
            self.on_no_room()
        return b"".join(tokens), packed + tasks[index:]

    def _pack_batch(self, batch: Any, sent: list[Any]) -> tuple[bytes, list[Any]]:
        record = batch.record()
        if record is None or len(record) > RECORD_LIMIT:
            self._scheduler.finished(batch)
            tasks = batch.take_from(0)
            for task in tasks:
                self._scheduler.place(task, batch.slot)
            return self._pack(tasks, sent) if tasks else (b"", [])
        batch.id = self._ledger.new_batch_id()
        try:
            token = self._enter([batch], [record])
        except NoRoom:
            self.on_no_room()
            return b"", [batch]
        self.on_batch()
        sent.append(batch)
        return token, []

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
        offset = task.offset if task.batch is None else task.batch.flag_offset(task)
        self.arena.add_flag(offset, CANCELLED)

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

    def read_from_belt(self, slot: int, note: bytes, data: memoryview) -> None:
        """Let a worker have the space of a body that was read from its belt."""
        data.release()  # or the page could not be closed
        if not self.closed:
            self._belts_used.add(slot)
            self._expect_large(self.belts.done(slot, note))

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
        for queue in self.queues:
            queue.close()
        for locker in self.lockers:
            locker.close()
        self.arena.close()
        self.page.close()
        self.parcels.close()

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

    def _pickle(self, task: Task[Any]) -> tuple[int, Any]:
        """Return the flags of a task's record, and its pickle; large buffers are with the serializer."""
        if task is self._too_large:
            self._free_locker()  # raises NoRoom before the argument is pickled again for nothing
            self._too_large = None
        if task.key is None and task.meta is None:
            return 0, self._serializer.dumps(task.argument, "argument")
        return CONTEXT, self._dumps_with_context(task)

    def _dumps_with_context(self, task: Task[Any]) -> Any:
        try:
            return self._serializer.dumps((task.key, task.meta, task.argument), "argument")
        except SerializationError:
            # Find out which of the three it was, for the error.
            self._serializer.dumps(task.key, "key")
            self._serializer.dumps(task.meta, "meta")
            self._serializer.dumps(task.argument, "argument")
            raise

    def _enter(self, tasks: list[Task[Any]], records: list[bytes]) -> bytes:
        """Write records and enter their tasks as dispatched; return the tokens, joined.

        Raises `NoRoom`; then nothing has happened.
        """
        if not tasks:
            return b""
        offset = self.arena.write(records)
        if offset < 0:
            raise NoRoom
        numbers: list[int] = []
        watched: float | None = None
        for task, attempt, record in zip(tasks, self._ledger.dispatch(tasks), records, strict=True):
            length = len(record)
            task.offset = offset
            numbers += (attempt, offset, length)
            offset += length
            timeout = task._settings.timeout
            if timeout is not None and timeout != watched:
                self.on_timed(timeout)
                watched = timeout
        return pack_tokens(numbers)

    def _leave_what_is_too_much(self, tasks: list[Task[Any]], index: int) -> None:
        """Cut a run short if it carries enough: its rest waits until there is need of it."""
        rest = tasks[index:]
        if not rest or self._carried < _BYTES_AHEAD:
            return
        del tasks[index:]
        self._scheduler.all_finished(rest)
        self._scheduler.put_back(rest)

    def _expect_large(self, size: int) -> None:
        """Note a large payload, either way: few of its kind are sent ahead, and memory is in use."""
        self._runs_without_large = 0
        self._bytes_each = max(size, self._bytes_each * 3 // 4)
        self._scheduler.most_ahead = max(2, _BYTES_AHEAD // self._bytes_each)
        self.parcels.memory_is_used()

    def _begin_run(self) -> None:
        """Note a run of tasks: when many in a row are small, as many as ever are sent ahead."""
        self._carried = 0
        self._runs_without_large += 1
        if self._runs_without_large > _FEW_AHEAD_FOR:
            self._bytes_each = 0
            self._scheduler.most_ahead = DEPTH_TASKS

    def _give_memory_back(self) -> None:
        """Give back what large payloads have left behind in shared memory."""
        if self.closed:
            return
        self.arena.give_back()
        for slot in self._belts_used:
            self.post(slot, MAIL_GIVE_BACK)
        self._belts_used.clear()

    def _large_token(self, task: Task[Any], flags: int, data: Any) -> bytes:
        """Give a large payload a span of the arena, or send it as a parcel. Raises `NoRoom`."""
        buffers = self._serializer.buffers
        size = payload_bytes(data, buffers)
        self._expect_large(size)
        self._carried += size
        place = None
        if size <= SPAN_LIMIT:
            kind = LAID_OUT if buffers else 0
            place = self.arena.write_large(flags | kind, laid_out(data, buffers))
        if place is None:
            return self._parcel_token(task, flags | PARCEL, data)
        self._serializer.expect_long(data)
        self._serializer.take_buffers()
        [attempt] = self._ledger.dispatch([task])
        task.offset = place[0]
        if task._settings.timeout is not None:
            self.on_timed(task._settings.timeout)
        return TOKEN.pack(attempt, *place)

    def _parcel_token(self, task: Task[Any], flags: int, data: Any) -> bytes:
        self._too_large = task
        number = self._free_locker()
        self._too_large = None
        self._serializer.expect_long(data)
        self.lockers[number].put(self.parcels.write(data, self._serializer.take_buffers()))
        try:
            token = self._enter([task], [_FLAGS[flags] + number.to_bytes(4, "little")])
        except NoRoom:
            self.lockers[number].clear()
            raise
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
