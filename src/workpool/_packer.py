"""The packer: brings arguments to where workers find them, and makes the tokens that say where."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workpool._batch import Batch
from workpool._frames import CONTEXT, TOKEN, pack_tokens
from workpool._large_payloads import LargePayloads, NoRoom
from workpool._ledger import Ledger
from workpool._scheduler import Scheduler
from workpool._serialization import PLAIN_TYPES
from workpool._system.arena import RECORD_LIMIT, Arena
from workpool.errors import SerializationError

if TYPE_CHECKING:
    from workpool._task import Task

_NO_FLAGS = b"\0"
_FLAGS = [bytes((flags,)) for flags in range(256)]
_dumps = pickle.dumps


class Packer:
    """Packs tasks that are placed; what it has packed is entered in the ledger as dispatched.

    `fail` ends a task with an error.
    """

    def __init__(
        self,
        arena: Arena,
        large: LargePayloads,
        scheduler: Scheduler[Task[Any]],
        ledger: Ledger[Task[Any]],
        fail: Callable[[Task[Any], BaseException], None],
    ) -> None:
        self.on_timed: Callable[[float], None] = lambda timeout: None
        """Told the timeout of every dispatched task that has one."""
        self.on_batch: Callable[[], None] = lambda: None
        """Told when a batch has been packed."""
        self.on_no_room: Callable[[], None] = lambda: None
        """Told when tasks had to stay behind although workers may be free for them."""
        self._arena = arena
        self._large = large
        self._scheduler = scheduler
        self._ledger = ledger
        self._fail = fail

    def pack_plain(self, task: Task[Any]) -> bytes:
        """Return the token of a task with nothing but a small argument; empty if it is not one.

        So too if there is no room.
        """
        if not task._settings.plain or task.argument.__class__ not in PLAIN_TYPES:
            return b""
        record = _NO_FLAGS + _dumps(task.argument, 5)
        if len(record) > RECORD_LIMIT:  # an int may be long
            return b""
        try:
            return self._enter([task], [record])
        except NoRoom:
            return b""

    def pack(self, tasks: list[Task[Any]], sent: list[Task[Any]]) -> tuple[bytes, list[Task[Any]]]:
        """Pack tasks: their records go into the arena, their tokens are returned, and what is left.

        What is left is for another time: there is no room. Those that are packed are added to `sent`;
        those that cannot be have failed.
        """
        # A few calls per task, because a tiny one costs as much as this. So records are collected,
        # and written and entered together.
        self._large.begin_run()
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
                if not record or len(record) > RECORD_LIMIT:
                    try:
                        flags, data = self._pickle(task)
                        if self._large.serializer.buffers or len(data) >= RECORD_LIMIT:
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
            return self.pack(tasks, sent) if tasks else (b"", [])
        batch.id = self._ledger.new_batch_id()
        try:
            token = self._enter([batch], [record])
        except NoRoom:
            self.on_no_room()
            return b"", [batch]
        self.on_batch()
        sent.append(batch)
        return token, []

    def _pickle(self, task: Task[Any]) -> tuple[int, Any]:
        """Return the flags of a task's record, and its pickle; large buffers are with the serializer."""
        self._large.check_room(task)
        if task.key is None and task.meta is None:
            return 0, self._large.serializer.dumps(task.argument, "argument")
        return CONTEXT, self._dumps_with_context(task)

    def _dumps_with_context(self, task: Task[Any]) -> Any:
        dumps = self._large.serializer.dumps
        try:
            return dumps((task.key, task.meta, task.argument), "argument")
        except SerializationError:
            # Find out which of the three it was, for the error.
            dumps(task.key, "key")
            dumps(task.meta, "meta")
            dumps(task.argument, "argument")
            raise

    def _enter(self, tasks: list[Task[Any]], records: list[bytes]) -> bytes:
        """Write records and enter their tasks as dispatched; return the tokens, joined.

        Raises `NoRoom`; then nothing has happened.
        """
        if not tasks:
            return b""
        offset = self._arena.write(records)
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

    def _large_token(self, task: Task[Any], flags: int, data: Any) -> bytes:
        """Send a large payload on its way; return its task's token. Raises `NoRoom`."""
        place = self._large.place(task, flags, data)
        if isinstance(place, tuple):
            [attempt] = self._ledger.dispatch([task])
            task.offset = place[0]
            if task._settings.timeout is not None:
                self.on_timed(task._settings.timeout)
            return TOKEN.pack(attempt, *place)
        try:
            token = self._enter([task], [place])
        except NoRoom:
            self._large.not_sent(place)
            raise
        self._large.sent(task, place)
        return token

    def _leave_what_is_too_much(self, tasks: list[Task[Any]], index: int) -> None:
        """Cut a run short if it carries enough: its rest waits until there is need of it."""
        rest = tasks[index:]
        if not rest or not self._large.run_carries_enough:
            return
        del tasks[index:]
        self._scheduler.all_finished(rest)
        self._scheduler.put_back(rest)
