"""Time limits count only time in which a worker could run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workpool._patient_timer import PatientTimer


class Clock:
    """An event loop of which only time and timers exist."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Any:
        entry = (self.now + seconds, callback)
        self.timers.append(entry)

        class Handle:
            @staticmethod
            def cancel() -> None:
                self.timers.remove(entry)

        return Handle

    def pass_to(self, now: float) -> None:
        """Let time pass, then run what is due, once."""
        self.now = now
        due = [entry for entry in self.timers if entry[0] <= now]
        for entry in due:
            self.timers.remove(entry)
            entry[1]()


def test_it_calls_back_when_its_time_is_up() -> None:
    """Once, with its arguments, also when it is a little late."""
    clock = Clock()
    calls: list[str] = []
    PatientTimer(clock, 2.0, calls.append, "over")  # type: ignore[arg-type]
    clock.pass_to(1.9)
    assert calls == []
    clock.pass_to(2.3)
    clock.pass_to(99)
    assert calls == ["over"]


def test_after_a_stop_the_time_that_was_lost_is_given() -> None:
    """Late by more than a moment, it waits once more: as long as it was late, or as at first."""
    clock = Clock()
    calls: list[str] = []
    PatientTimer(clock, 2.0, calls.append, "short")  # type: ignore[arg-type]
    PatientTimer(clock, 9.0, calls.append, "long")  # type: ignore[arg-type]
    clock.pass_to(12.0)
    assert calls == []
    clock.pass_to(14.0)
    assert calls == ["short"]
    clock.pass_to(15.0)
    assert calls == ["short", "long"]


def test_a_cancelled_one_never_calls() -> None:
    """Also after it has been late."""
    clock = Clock()
    calls: list[str] = []
    timer = PatientTimer(clock, 1.0, calls.append, "over")  # type: ignore[arg-type]
    clock.pass_to(5.0)
    timer.cancel()
    clock.pass_to(50.0)
    assert calls == []


def test_a_loop_that_is_always_late_puts_it_off_once() -> None:
    """A program that does its work between two turns of the loop has its limits kept all the same."""
    clock = Clock()
    calls: list[str] = []
    PatientTimer(clock, 1.0, calls.append, "over")  # type: ignore[arg-type]
    for now in (4.0, 8.0):
        clock.pass_to(now)
    assert calls == ["over"]
