"""The scheduler: which task goes where, and when. Pure: told what happens, returns decisions.

Tasks wait in one backlog and are placed as late as possible. A slot's kernel queue is kept
shallow, a few milliseconds of estimated work; a wrong estimate costs little, because idle workers
steal whatever lies in a queue. Pinned tasks (affinity strong or force) wait in a backlog of their
slot.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

from workpool._costs import MEMBER_OVERHEAD, OVERHEAD

DEPTH_SECONDS = 0.02
"""Estimated work a queue holds: keeps a worker busy while the pool's event loop does something
else, and is little enough to be placed anew when things turn out otherwise."""

DEPTH_TASKS = 2000
"""Most tasks a queue holds: below the worst capacity of a pipe of 64 KiB, and costs at most
about 100 kB of memory per slot."""

BATCH_SECONDS = 2e-4
"""Estimated work of tasks that travel together."""

SHARE_SECONDS = 1e-4
"""Estimated work that one worker gets although others could share in it: to wake another costs as much."""

FEWEST_MEMBERS = 8
"""Of a batch: tasks of more than 25 us each travel alone."""

PINNED_SECONDS = 0.1
"""Estimated work that a worker is sent ahead of pinned tasks, which nobody else can take anyway."""

MOST_PINNED = 100
"""Most pinned tasks a worker is sent ahead: half of what its mailbox holds."""

_LONGEST_RUN = 128  # tasks placed by one decision
UNEVEN_SECONDS = 0.25  # a strong task is moved only when its slot has so much more work ...
UNEVEN_RATIO = 4.0  # ... and is so many times as loaded as the slot it is moved to


class Record(Protocol):
    """What the scheduler knows of a task."""

    slot: int
    key: Hashable | None
    estimate: float  # seconds

    @property
    def pinned(self) -> bool:
        """Addressed to its slot."""
        ...

    @property
    def movable(self) -> bool:
        """Of a pinned task: may be moved to another slot when loads get badly uneven."""
        ...

    @property
    def members(self) -> Sequence[Any]:
        """Of a batch: the tasks in it; empty for a task."""
        ...

    def done(self) -> bool:
        """Whether the task has ended (was cancelled) while it waited."""
        ...


RecordT = TypeVar("RecordT", bound=Record)


class SlotLoad(Generic[RecordT]):
    """A slot as the scheduler sees it."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.open = False  # has a worker, or will soon
        self.count = 0  # tasks dispatched to it and not finished, whoever runs them
        self.seconds = 0.0  # the estimates of these, summed
        self.pinned: deque[RecordT] = deque()
        self.pinned_sent = 0  # how many of `count` are pinned
        self.pinned_seconds = 0.0  # the estimates of these, summed


class Scheduler(Generic[RecordT]):
    """Places tasks on slots.

    `lanes` is how many tasks a worker runs at a time; `estimate(task)` what a task will cost, asked
    when it is placed; `placement_cost(task, slot)` what it costs more on that slot; both seconds.
    """

    def __init__(
        self,
        slots: int,
        lanes: int,
        estimate: Callable[[RecordT], float],
        placement_cost: Callable[[RecordT, int], float] | None = None,
    ) -> None:
        self.slots: list[SlotLoad[RecordT]] = [SlotLoad(index) for index in range(slots)]
        self.backlog: deque[RecordT] = deque()
        self._estimate = estimate
        self.estimate_each = False
        """Whether tasks without a key differ in what they are expected to cost."""
        self.take_batch: Callable[[deque[RecordT], int], RecordT | None] | None = None
        """Takes up to so many tasks from the front of the backlog to travel together; None while no
        worker is known to take batches."""
        self.most_ahead = DEPTH_TASKS
        """Most tasks a queue holds now: fewer while they carry much, so that memory is bounded."""
        self._placement_cost = placement_cost
        self.set_lanes(lanes)

    def set_lanes(self, lanes: int) -> None:
        """Set how many tasks a worker runs at a time."""
        self.lanes = lanes
        self._fewest = lanes + 1  # one more than it runs, so that it never waits for the pool
        self._depth = DEPTH_SECONDS * lanes

    def add(self, task: RecordT) -> None:
        """Let a task wait to be placed."""
        (self.slots[task.slot].pinned if task.pinned else self.backlog).append(task)

    def put_back(self, tasks: Iterable[RecordT]) -> None:
        """Let tasks that could not be sent wait again, before all others, in their order.

        The members of batches wait one by one again.
        """
        for task in reversed(list(tasks)):
            if task.members:
                batch: Any = task
                self.backlog.extendleft(reversed(batch.take_from(0)))
                continue
            queue = self.slots[task.slot].pinned if task.pinned else self.backlog
            queue.appendleft(task)

    def place(self, task: RecordT, slot: int, extra: float = 0.0) -> None:
        """Count a task as dispatched to a slot, where it costs so many seconds more."""
        load = self.slots[slot]
        task.slot = slot
        task.estimate = self._estimate(task) + extra
        load.count += 1
        load.seconds += task.estimate

    def finished(self, task: RecordT) -> None:
        """Count a dispatched task as no longer with its slot."""
        self.all_finished((task,))

    def all_finished(self, tasks: Iterable[RecordT]) -> None:
        """As `finished` for each of many tasks."""
        slots, index, load = self.slots, -1, None
        for task in tasks:
            if task.slot != index or load is None:
                index = task.slot
                load = slots[index]
            load.count -= 1
            load.seconds -= task.estimate
            if load.pinned_sent and task.pinned:
                load.pinned_sent -= 1
                load.pinned_seconds -= task.estimate
            if not load.count:
                # No rounding error outlives an empty queue.
                load.seconds = load.pinned_seconds = 0.0

    def free_slot(self) -> int | None:
        """Return the least loaded slot that has a free lane, or None."""
        best = None
        for load in self.slots:
            if load.open and load.count < self.lanes and (best is None or load.count < best.count):
                best = load
                if not load.count:
                    break
        return None if best is None else best.index

    def plan(self) -> Iterator[tuple[int, list[RecordT]]]:
        """Take from the backlogs what should be sent now: (slot, tasks), counted as placed.

        Afterwards either nothing waits, or every open slot has enough.
        """
        yield from self._plan_pinned()
        while self.backlog:
            load = self._least_loaded()
            if load is None:
                return
            if self._placement_cost is None:
                run = self._run_of(load)
                if run:
                    yield load.index, run
            else:
                task = self.backlog.popleft()
                if not task.done():
                    yield self._cheapest_slot(task), [task]

    def waiting(self) -> int:
        """Return how many tasks wait in the backlogs, cancelled ones included."""
        return len(self.backlog) + sum(len(load.pinned) for load in self.slots)

    def take_waiting(self, slot: int | None = None) -> list[RecordT]:
        """Empty the backlogs, or only that of one slot's pinned tasks; return what was there."""
        loads = self.slots if slot is None else [self.slots[slot]]
        taken: list[RecordT] = []
        if slot is None:
            taken += self.backlog
            self.backlog.clear()
        for load in loads:
            taken += load.pinned
            load.pinned.clear()
        return [task for task in taken if not task.done()]

    def _has_room(self, load: SlotLoad[RecordT]) -> bool:
        return load.open and (
            load.count < self._fewest
            or (load.seconds < self._depth and load.count < self.most_ahead)
        )

    def _least_loaded(self) -> SlotLoad[RecordT] | None:
        best = None
        for load in self.slots:
            if self._has_room(load) and (
                best is None or (load.seconds, load.count) < (best.seconds, best.count)
            ):
                best = load
        return best

    def _run_of(self, load: SlotLoad[RecordT]) -> list[RecordT]:
        """Take a run of tasks for a slot: at most a fair share, as long as it has room."""
        take, estimate, index = self.backlog.popleft, self._estimate, load.index
        run: list[RecordT] = []
        left, first = len(self.backlog), self.backlog[0]
        # What tasks are expected to cost that have no key.
        each = 0.0 if self.estimate_each or first.key is not None else estimate(first)
        share = max(left // (2 * len(self.slots)), int(SHARE_SECONDS / each) if each else 0, 1)
        room = min(share, _LONGEST_RUN, max(self.most_ahead, self._fewest) - load.count)
        count, seconds = load.count, load.seconds
        fewest, depth = self._fewest, self._depth
        if (
            each
            and self.take_batch is not None
            and self.most_ahead == DEPTH_TASKS  # else what they carry would not be bounded
            and (seconds < depth or count < fewest)
        ):
            batch = self._batch_of(load, room, each)
            if batch is not None:
                return [batch]
            left = len(self.backlog)
        while room and left and (seconds < depth or count < fewest):
            task = take()
            left -= 1
            if task.done():
                continue
            cost = each if each and task.key is None else estimate(task)
            task.estimate = cost
            task.slot = index
            count += 1
            seconds += cost
            run.append(task)
            room -= 1
        load.count, load.seconds = count, seconds
        return run

    def _batch_of(self, load: SlotLoad[RecordT], room: int, each: float) -> RecordT | None:
        """Take a batch for a slot if the next tasks are tiny, and count it as placed."""
        assert self.take_batch is not None
        each = max(each - OVERHEAD, 0.0) + MEMBER_OVERHEAD
        size = min(room, int(BATCH_SECONDS / each))
        batch = self.take_batch(self.backlog, size) if size >= FEWEST_MEMBERS else None
        if batch is not None:
            batch.slot = load.index
            batch.estimate = each * len(batch.members)
            load.count += 1
            load.seconds += batch.estimate
        return batch

    def _cheapest_slot(self, task: RecordT) -> int:
        """Place a task where load plus its cost there is least; return the slot."""
        assert self._placement_cost is not None
        best, best_seconds, best_cost = -1, float("inf"), 0.0
        for load in self.slots:
            if self._has_room(load):
                cost = self._placement_cost(task, load.index)
                if load.seconds + cost < best_seconds:
                    best, best_seconds, best_cost = load.index, load.seconds + cost, cost
        self.place(task, best, best_cost)
        return best

    def _plan_pinned(self) -> Iterator[tuple[int, list[RecordT]]]:
        self._even_out()
        for load in self.slots:
            run = []
            # Their own limits: light tasks, which others can take, must not keep them waiting.
            while load.open and load.pinned and self._wants_pinned(load):
                task = load.pinned.popleft()
                if not task.done():
                    self.place(task, load.index)
                    load.pinned_sent += 1
                    load.pinned_seconds += task.estimate
                    run.append(task)
            if run:
                yield load.index, run

    def _wants_pinned(self, load: SlotLoad[RecordT]) -> bool:
        if load.pinned_sent < self._fewest:
            return True
        most = min(MOST_PINNED, self.most_ahead)
        return load.pinned_sent < most and load.pinned_seconds < PINNED_SECONDS

    def _even_out(self) -> None:
        """Move strong tasks, newest first, away from slots that have badly more work."""
        if not any(load.pinned and load.pinned[-1].movable for load in self.slots):
            return
        totals = {
            load.index: load.seconds + sum(map(self._estimate, load.pinned)) for load in self.slots
        }
        for load in self.slots:
            others = [o.index for o in self.slots if o.open and o is not load]
            while load.pinned and load.pinned[-1].movable and others:
                thief = min(others, key=totals.__getitem__)
                ours, theirs = totals[load.index], totals[thief]
                if ours < theirs + UNEVEN_SECONDS or ours < UNEVEN_RATIO * theirs:
                    break
                task = load.pinned.pop()
                task.slot = thief
                self.slots[thief].pinned.append(task)
                totals[load.index] -= self._estimate(task)
                totals[thief] += self._estimate(task)
