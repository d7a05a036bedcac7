"""The pure parts of `benchmarks.reliability`: what counts as a fault, and how it is told."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks.reliability import journal
from benchmarks.reliability.finding import FAILED, NOT_MEASURED, OK, TOLD, Finding, none_of, told
from benchmarks.reliability.journal import BEGUN, ENDED, INTERRUPTED
from benchmarks.reliability.payload_tasks import ARGUMENT, KINDS, carry, expected, make, summarize
from benchmarks.reliability.race_account import (
    CANCEL,
    CANCELLED,
    HUNG,
    NEVER_BEGUN,
    NOBODY,
    RESULT,
    RUN_ONCE,
    STALE_RESULT,
    TIMED_OUT,
    TIMEOUT,
    WRONG_KILL,
    Account,
)
from benchmarks.reliability.race_aim import STEP, Aim

CUT_SHORT = BEGUN + INTERRUPTED
CRASHED = "WorkerCrashed: the worker died"


def account(
    ending: str,
    outcome: str,
    marks: str,
    *,
    is_own: bool = True,
    was_cancelled: bool | None = None,
    completions: int = 1,
) -> Account:
    cancelled = outcome == CANCELLED if was_cancelled is None else was_cancelled
    return Account(0, ending, outcome, is_own, cancelled, completions, marks)


@pytest.mark.parametrize(
    "each",
    [
        account(NOBODY, RESULT, RUN_ONCE),
        account(CANCEL, RESULT, RUN_ONCE),
        account(CANCEL, CANCELLED, RUN_ONCE),
        account(CANCEL, CANCELLED, CUT_SHORT),
        account(CANCEL, CANCELLED, RUN_ONCE + INTERRUPTED),
        account(CANCEL, CANCELLED, NEVER_BEGUN),
        account(TIMEOUT, RESULT, RUN_ONCE),
        account(TIMEOUT, TIMED_OUT, CUT_SHORT),
        account(TIMEOUT, TIMED_OUT, CUT_SHORT + ENDED),
    ],
)
def test_a_race_that_either_side_wins_is_no_fault(each: Account) -> None:
    """A task ends in time or is cut short; both are right."""
    assert each.faults() == []


@pytest.mark.parametrize(
    ("kind", "each"),
    [
        (WRONG_KILL, account(NOBODY, CRASHED, BEGUN)),
        (WRONG_KILL, account(CANCEL, CRASHED, BEGUN)),
        (WRONG_KILL, account(TIMEOUT, CRASHED, BEGUN)),
        (WRONG_KILL, account(CANCEL, TIMED_OUT, CUT_SHORT)),
        (WRONG_KILL, account(TIMEOUT, TIMED_OUT, BEGUN + CUT_SHORT)),
        (STALE_RESULT, account(CANCEL, RESULT, RUN_ONCE, was_cancelled=True)),
        (STALE_RESULT, account(CANCEL, CANCELLED, RUN_ONCE, was_cancelled=False)),
        (STALE_RESULT, account(NOBODY, RESULT, RUN_ONCE, is_own=False)),
        (STALE_RESULT, account(NOBODY, RESULT, RUN_ONCE, completions=2)),
        (STALE_RESULT, account(TIMEOUT, TIMED_OUT, RUN_ONCE, completions=2)),
        (STALE_RESULT, account(NOBODY, RESULT, BEGUN)),
        (HUNG, account(NOBODY, HUNG, BEGUN, completions=0)),
    ],
)
def test_what_must_not_be_is_found(kind: str, each: Account) -> None:
    """Each kind of fault is told by its own name."""
    assert [fault.partition(":")[0] for fault in each.faults()] == [kind]


@pytest.mark.parametrize("marks", [CUT_SHORT + ENDED, RUN_ONCE + RUN_ONCE])
def test_a_result_that_has_two_things_wrong(marks: str) -> None:
    """One that was interrupted or ran twice and still came back counts as both."""
    kinds = [fault.partition(":")[0] for fault in account(NOBODY, RESULT, marks).faults()]
    assert kinds == [WRONG_KILL, STALE_RESULT]


def test_an_aim_follows_the_moment_at_which_either_side_may_win() -> None:
    """Told which tasks reached their end, it finds the moment from afar, and stays in its range."""
    moment, range_ = 0.004, (0.0, 0.01)
    aim = Aim(random.Random(1), *range_)
    for _ in range(500):
        shot = aim.shoot()
        if shot.is_aimed and shot.seconds < moment:
            aim.ended()
    assert abs(aim.centre - moment) < 5 * STEP
    for _ in range(500):
        aim.shoot()
    assert aim.centre == range_[0]


def test_the_journal_keeps_every_mark_in_its_order(tmp_path: Path) -> None:
    """Several tasks in one file; a file that nobody wrote is an empty journal."""
    path = str(tmp_path / "journal")
    assert journal.read(path) == {}
    for number, mark in [(1, BEGUN), (2, BEGUN), (1, ENDED), (2, INTERRUPTED), (2, ENDED)]:
        journal.note(path, number, mark)
    journal.forget(path)
    assert journal.read(path) == {1: RUN_ONCE, 2: CUT_SHORT + ENDED}


def test_a_finding_is_judged_by_its_bound() -> None:
    """A bound makes a verdict; what has none is told, what has no value was not measured."""
    assert Finding("x", 2, 2).verdict == OK
    assert Finding("x", 2.1, 2, "ms").verdict == FAILED
    assert none_of("x", 1).verdict == FAILED
    assert none_of("x", 0).goal == "0"
    assert told("x", 3.0).verdict == TOLD
    assert Finding("x", None, 2).verdict == NOT_MEASURED
    assert Finding("x", 0.1234, 2, "ms").measured == "0.123 ms"
    assert Finding("x", 0.1234, 2, "ms").goal == "at most 2 ms"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [0, 1, 250, 2_100_000])
def test_a_payload_is_what_is_expected_of_it(kind: str, size: int) -> None:
    """The summary is known without making the payload, and tells a changed byte."""
    payload = make(kind, size)
    assert carry((ARGUMENT, payload)) == expected(kind, size)
    if size and isinstance(payload, bytearray):
        payload[size // 2] ^= 1
        assert summarize(payload) != expected(kind, size)
