"""The chaos runner's report: a run is clean only if nothing was wrong and the fire was real."""

from __future__ import annotations

from benchmarks.chaos import ledger
from benchmarks.chaos.evidence import RESULT, Evidence, Outcome
from benchmarks.chaos.plan import Fire, RoundPlan
from benchmarks.chaos.planning import make_plan
from benchmarks.chaos.reading import Line
from benchmarks.chaos.report import Tally, as_data, render
from benchmarks.chaos.verdict import RULES, Violation

PLAN: RoundPlan = make_plan(1, 1, Fire(), 1)[0]


def a_round() -> Evidence:
    """Return a round in which one task ran, and the next was hit with its worker."""
    seen = Evidence(PLAN, added={0: 1}, outcomes={0: [Outcome(RESULT, 9)]})
    told = [
        (ledger.BIRTH, -1, "0"),
        (ledger.START, 0, "0"),
        (ledger.END, 0, ledger.OK),
        (ledger.START, 1, "0"),
        (ledger.HIT, 0, "SIGSTOP"),
        (ledger.HIT, 1, "SIGKILL"),
        (ledger.HIT, 0, "SIGKILL"),
        (ledger.HIT, 0, "SIGTERM"),
        (ledger.MISS, 0, "SIGTERM"),
    ]
    seen.lines = [
        Line(kind, task, "10.1", time, detail) for time, (kind, task, detail) in enumerate(told)
    ]
    return seen


def test_accidents_are_counted_as_they_happened() -> None:
    """A signal that missed does not count, and a kill after a stop counts as that stop alone."""
    tally = Tally(Fire(kills=1, stop=1))
    tally.count(a_round(), [])
    happened = {name: was for name, was, _ in tally.accidents()}
    assert happened == {
        "SIGKILL": 1,
        "SIGSEGV": 0,
        "os._exit(0)": 0,
        "SIGTERM": 0,
        "SIGSTOP": 1,
    }
    assert (tally.tasks, tally.starts, tally.workers, tally.killed_at_work) == (1, 2, 1, 1)
    assert tally.is_clean


def test_too_little_fire_is_no_proof() -> None:
    """A run that was to kill twice and killed once has not shown what it was to show."""
    tally = Tally(Fire(kills=2))
    tally.count(a_round(), [])
    assert not tally.is_clean
    assert "FAILED" in render(tally, "the command")


def test_violations_are_counted_shown_and_written() -> None:
    """Each violation is in the table, in the text with its round, and in the data."""
    tally = Tally(Fire())
    tally.count(a_round(), [Violation("lost", "task 7")])
    assert not tally.is_clean
    text, data = render(tally, "the command"), as_data(tally, "the command")
    assert f"round {PLAN.number}: lost: task 7" in text
    assert "the command" in text
    assert data["verdict"] == {**dict.fromkeys(RULES, 0), "lost": 1}
    assert data["violations"] == [{"round": 0, "rule": "lost", "text": "task 7"}]
