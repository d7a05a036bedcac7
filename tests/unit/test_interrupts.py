"""Interrupts of async workers, with a clock of the test's own: who is killed, and when."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any, cast

import pytest

from workpool._frames import MAIL_CANCEL, MAIL_LOOK_ROUND, MAIL_STOP
from workpool._interrupts import CANCEL_GRACE, Interrupts
from workpool._system.status_page import MAIL, MAIL_READ, StatusPage, new_page

STUBBORN, NEIGHBOUR = 1 << 12, 2 << 12
SOON = 0.2 * CANCEL_GRACE


class Clock:
    """As much of an event loop as timers need; time passes when the test says so."""

    def __init__(self) -> None:
        self._now = 0.0
        self._numbers = count()
        self._timers: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []

    def time(self) -> float:
        return self._now

    def call_soon(self, callback: Callable[..., object], *arguments: Any) -> None:
        self.call_later(0, callback, *arguments)

    def call_later(self, delay: float, callback: Callable[..., object], *arguments: Any) -> None:
        timer = (self._now + delay, next(self._numbers), callback, arguments)
        heapq.heappush(self._timers, timer)

    def go_on(self, seconds: float) -> None:
        end = self._now + seconds
        while self._timers and self._timers[0][0] <= end:
            self._now, _, callback, arguments = heapq.heappop(self._timers)
            callback(*arguments)
        self._now = end


@dataclass(eq=False)
class Worker:
    slot: int = 0
    is_async: bool = True
    unsent_mail: int = 0


@dataclass
class Field:
    """One async worker in which tasks run, and all that `Interrupts` asks and tells."""

    page: StatusPage
    clock: Clock = field(default_factory=Clock)
    worker: Worker = field(default_factory=Worker)
    dispatched: dict[int, Any] = field(default_factory=dict)
    mail: list[bytes] = field(default_factory=list)
    killed: bool = False

    def __post_init__(self) -> None:
        self.interrupts = Interrupts(*cast(Any, (self.clock, self, self, self, None)))

    # What the test does

    def begin(self, attempt: int) -> None:
        lane = len(self.dispatched)
        self.page.words[self.page.attempt_index(0, lane)] = attempt
        self.page.words[self.page.begun_index(0, lane)] = 1
        self.dispatched[attempt] = object()

    def read_mail(self) -> None:
        """Have the worker's event loop turn once."""
        self.page.words[self.page.field(0, MAIL_READ)] = len(self.mail)

    # What `Interrupts` uses

    @property
    def wakeups(self) -> Field:
        return self

    def running(self, attempt: int) -> Any:
        return self.dispatched.get(attempt)

    def attempt_of(self, task: int) -> int:
        return task

    def mark_cancelled(self, _task: Any) -> None:
        pass

    def post(self, _slot: int, data: bytes) -> None:
        self.mail.append(data[:1])
        self.page.words[self.page.field(0, MAIL)] += 1

    def post_cancel(self, slot: int, _attempt: int) -> None:
        self.post(slot, MAIL_CANCEL)

    def present(self) -> list[Worker]:
        return [] if self.killed else [self.worker]

    def retire(self, _worker: Worker) -> None:
        self.post(0, MAIL_STOP)

    def kill(self, _worker: Worker, _reason: str) -> None:
        self.killed = True


@pytest.fixture
def scene() -> Iterator[Field]:
    """Return a worker that runs a stubborn task, cancelled, and a neighbour."""
    page = new_page(1, 2)
    scene = Field(page)
    scene.begin(STUBBORN)
    scene.begin(NEIGHBOUR)
    scene.interrupts.interrupt(cast(Any, STUBBORN))
    yield scene
    page.close()


def test_a_neighbour_that_computes_for_a_moment_is_not_killed(scene: Field) -> None:
    """A stop that is unread for less than the grace is no sign of a blocked event loop."""
    scene.clock.go_on(CANCEL_GRACE / 2)
    scene.read_mail()
    scene.clock.go_on(CANCEL_GRACE)
    assert scene.mail[:2] == [MAIL_CANCEL, MAIL_STOP]
    assert not scene.killed
    scene.read_mail()
    for _ in range(20):
        scene.clock.go_on(CANCEL_GRACE / 2)
        scene.read_mail()
    assert not scene.killed
    del scene.dispatched[NEIGHBOUR]
    scene.clock.go_on(SOON)
    assert scene.killed


def test_a_loop_that_is_blocked_from_the_interruption_on_is_killed_after_the_grace(
    scene: Field,
) -> None:
    """The task itself holds the event loop: nobody in there could go on."""
    scene.clock.go_on(CANCEL_GRACE - SOON)
    assert not scene.killed
    scene.clock.go_on(2 * SOON)
    assert scene.killed


def test_a_loop_that_is_blocked_later_is_killed_as_well(scene: Field) -> None:
    """It is asked again and again whether it turns, also after it has read the stop."""
    for _ in range(8):
        scene.clock.go_on(CANCEL_GRACE / 2)
        scene.read_mail()
    assert MAIL_LOOK_ROUND in scene.mail
    assert not scene.killed
    scene.clock.go_on(2 * CANCEL_GRACE + SOON)
    assert scene.killed


def test_a_worker_that_has_not_read_the_stop_may_be_about_to_begin_something(scene: Field) -> None:
    """Although nothing else is seen in it, it is not killed before it has read that."""
    scene.clock.go_on(CANCEL_GRACE / 2)
    scene.read_mail()
    del scene.dispatched[NEIGHBOUR]
    scene.clock.go_on(CANCEL_GRACE / 2 + SOON)
    assert not scene.killed
    scene.read_mail()
    scene.clock.go_on(SOON)
    assert scene.killed


def test_a_stop_that_waits_for_room_has_not_been_read(scene: Field) -> None:
    """What was sent before it, and read, does not stand for it."""
    scene.clock.go_on(CANCEL_GRACE / 2)
    scene.read_mail()
    del scene.dispatched[NEIGHBOUR]
    scene.worker.unsent_mail = 1
    scene.clock.go_on(CANCEL_GRACE / 2 + SOON)
    scene.page.words[scene.page.field(0, MAIL_READ)] = (
        2  # the cancellation, and what is older than the stop
    )
    scene.clock.go_on(CANCEL_GRACE / 2)
    assert not scene.killed
