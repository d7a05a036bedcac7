"""Large payloads: where they travel, both ways, and how much memory they may hold meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workpool._frames import LAID_OUT, MAIL_GIVE_BACK, PARCEL, task_of_attempt
from workpool._ledger import Ledger
from workpool._scheduler import DEPTH_TASKS, Scheduler
from workpool._serialization import Serializer
from workpool._system.arena import SPAN_LIMIT, Arena
from workpool._system.belt import BeltReader
from workpool._system.mail import Locker
from workpool._system.memory import laid_out, payload_bytes
from workpool._system.parcel_writer import ParcelWriter
from workpool._system.status_page import StatusPage

if TYPE_CHECKING:
    from workpool._task import Task

BYTES_AHEAD = 2 * SPAN_LIMIT
"""Large payloads that wait in a queue, all together; two tasks in any case. More would be written to
memory that is in no cache, and take it from others."""

_FEW_AHEAD_FOR = 32
"""Runs of tasks without a large payload after which none is expected any more."""


class NoRoom(Exception):
    """The arena or the lockers are full; a task that ends makes room."""


class LargePayloads:
    """Gives each large payload a span of the arena, or a locker; bounds how many travel at a time.

    `post(slot, mail)` sends mail to a worker.
    """

    def __init__(
        self,
        page: StatusPage,
        arena: Arena,
        lockers: list[Locker],
        scheduler: Scheduler[Task[Any]],
        ledger: Ledger[Task[Any]],
        post: Callable[[int, bytes], None],
    ) -> None:
        self.serializer = Serializer("pool")
        self.parcels = ParcelWriter(self._give_memory_back)
        self.belts = BeltReader(page)
        self.closed = False
        self._arena = arena
        self._lockers = lockers
        self._scheduler = scheduler
        self._ledger = ledger
        self._post = post
        self._lockers_in_use: dict[int, int] = {}  # locker -> attempt
        self._belts_used: set[int] = set()  # slots
        self._bytes_each = 0  # about so large are payloads just now; 0: not large
        self._runs_without_large = 0
        self._carried = 0  # large payloads of this run, bytes
        self._too_large: Task[Any] | None = None

    # How many travel at a time

    def begin_run(self) -> None:
        """Note a run of tasks: when many in a row are small, as many as ever are sent ahead."""
        if not self._bytes_each:
            return
        self._carried = 0
        self._runs_without_large += 1
        if self._runs_without_large > _FEW_AHEAD_FOR:
            self._bytes_each = 0
            self._scheduler.most_ahead = DEPTH_TASKS

    @property
    def run_carries_enough(self) -> bool:
        """Whether the rest of a run should wait until there is need of it."""
        return self._carried >= BYTES_AHEAD

    def _expect(self, size: int) -> None:
        """Note a large payload, either way: few of its kind are sent ahead, and memory is in use."""
        self._runs_without_large = 0
        self._bytes_each = max(size, self._bytes_each * 3 // 4)
        self._scheduler.most_ahead = max(2, BYTES_AHEAD // self._bytes_each)
        self.parcels.memory_is_used()

    # To workers

    def check_room(self, task: Task[Any]) -> None:
        """Raise `NoRoom` before an argument is pickled again for nothing."""
        if task is self._too_large:
            self._free_locker()
            self._too_large = None

    def place(self, task: Task[Any], flags: int, data: Any) -> tuple[int, int] | bytes:
        """Bring the payload that the serializer has just made to where its worker finds it.

        Returns its span, (offset, length) in the arena, or the record that names its locker. Raises
        `NoRoom`.
        """
        buffers = self.serializer.buffers
        size = payload_bytes(data, buffers)
        self._expect(size)
        self._carried += size
        if size <= SPAN_LIMIT:
            kind = LAID_OUT if buffers else 0
            span = self._arena.write_large(flags | kind, laid_out(data, buffers))
            if span is not None:
                self.serializer.expect_long(data)
                self.serializer.take_buffers()
                return span
        return self._parcel(task, flags | PARCEL, data)

    def sent(self, task: Task[Any], record: bytes) -> None:
        """Note that the token of a record is on its way."""
        self._lockers_in_use[_locker_of(record)] = self._ledger.attempt_of(task) or 0

    def not_sent(self, record: bytes) -> None:
        """Empty the locker of a record again."""
        self._lockers[_locker_of(record)].clear()

    def reclaim(self, task: Task[Any]) -> None:
        """Empty the locker of a task whose parcel may not have been fetched."""
        for number, attempt in list(self._lockers_in_use.items()):
            if task_of_attempt(attempt) == task.id and not self._lockers[number].empty:
                self._lockers[number].clear()

    def _parcel(self, task: Task[Any], flags: int, data: Any) -> bytes:
        self._too_large = task
        number = self._free_locker()
        self._too_large = None
        self.serializer.expect_long(data)
        self._lockers[number].put(self.parcels.write(data, self.serializer.take_buffers()))
        return bytes((flags,)) + number.to_bytes(4, "little")

    def _free_locker(self) -> int:
        for number, locker in enumerate(self._lockers):
            if locker.empty:
                self._lockers_in_use.pop(number, None)
                return number
        for number, attempt in self._lockers_in_use.items():
            if attempt not in self._ledger.dispatched:
                self._lockers[
                    number
                ].clear()  # its task was over before its parcel could be fetched
                return number
        raise NoRoom

    # From workers

    def read_from_belt(self, slot: int, note: bytes, data: memoryview) -> None:
        """Let a worker have the space of a body that was read from its belt."""
        data.release()  # or the page could not be closed
        if not self.closed:
            self._belts_used.add(slot)
            self._expect(self.belts.done(slot, note))

    # Memory

    def close(self) -> None:
        """Let go of what is kept for the next ones."""
        self.closed = True
        self.parcels.close()

    def _give_memory_back(self) -> None:
        """Give back what large payloads have left behind in shared memory."""
        if self.closed:
            return
        self._arena.give_back()
        for slot in self._belts_used:
            self._post(slot, MAIL_GIVE_BACK)
        self._belts_used.clear()


def _locker_of(record: bytes) -> int:
    return int.from_bytes(record[1:], "little")
