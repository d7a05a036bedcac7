"""The benchmark's goals: what they are held against, and what is said of them."""

from __future__ import annotations

from math import isnan, nan

import pytest

from benchmarks.contestants import BASELINE, ENTRIES, OURS, SHORT_NAMES
from benchmarks.figures import Results
from benchmarks.goals import Goal, goals
from benchmarks.measures import MEASURES
from benchmarks.run_report import render
from benchmarks.settings import SHORT

FIGURES = {
    "rate": ["tasks_per_s"],
    "round-trip": ["p50_us", "p99_us"],
    "skew": ["times_ideal"],
    "first-result": ["first_ms"],
    "bulk": ["million_per_s", "ten_million_per_s"],
    "payload": ["ends_mb_per_s", "echo_mb_per_s", "sum_mb_per_s"],
    "shared": ["tasks_per_s", "copies"],
    "backlog": ["tasks", "add_s", "adds_per_s", "total_s", "bytes_per_task"],
    "idle": ["cpu_ms"],
    "crowd": [
        "workers_cpu_ms",
        "parent_cpu_ms",
        *(
            f"{kind}_{size}_kb"
            for kind in ("Uss", "Pss", "Rss")
            for size in ("reference", "median", "largest")
        ),
    ],
}


def measured(names: list[str]) -> Results:
    """Figures of 1 of everything these contestants can do."""
    results = Results()
    for name in names:
        for measure in ENTRIES[name].measures:
            results.add(measure, name, dict.fromkeys(FIGURES[measure], 1.0))
    return results


def find(found: list[Goal], words: str) -> Goal:
    return next(goal for goal in found if words in goal.what)


def test_every_measure_is_somebody_s_and_known() -> None:
    """No contestant names a measure that does not exist, and none is without a contestant."""
    assert {measure for entry in ENTRIES.values() for measure in entry.measures} == set(MEASURES)
    assert set(FIGURES) == set(MEASURES)


@pytest.mark.parametrize("names", [list(ENTRIES), SHORT_NAMES], ids=["full", "short"])
def test_a_run_of_all_names_measures_every_goal(names: list[str]) -> None:
    """Both forms of the run have the contestants that every goal is about."""
    found = goals(measured(names))
    assert [goal.what for goal in found if goal.verdict == "not measured"] == []


def test_nothing_measured_is_no_goal_reached() -> None:
    """Without figures every goal says so, and the report can be made."""
    found = goals(Results())
    assert {goal.verdict for goal in found} == {"not measured"}
    assert "not measured" in render({"machine": "any"}, [OURS], Results(), SHORT, found)


def test_a_ratio_is_of_figures_of_the_same_round() -> None:
    """A machine that is slow for a round slows both sides of its ratio."""
    results = Results()
    for speed in (1.0, 0.1, 1.0):
        results.add("rate", OURS, {"tasks_per_s": 300_000 * speed})
        results.add("rate", BASELINE, {"tasks_per_s": 10_000 * speed})
    goal = find(goals(results), "asyncio")
    assert goal.value == pytest.approx(30)
    assert (goal.ours, goal.theirs) == (300_000, 10_000)
    assert isnan(goal.floor)
    assert goal.verdict == "reached"


def test_uneven_work_is_held_against_the_best_of_the_others() -> None:
    """Being faster than most is not enough."""
    results = Results()
    for name, makespan in ((OURS, 1.05), (BASELINE, 1.2), ("pebble", 1.04)):
        results.add("skew", name, {"times_ideal": makespan})
    goal = find(goals(results), "skewed work, to pebble")
    assert goal.verdict == "missed"


@pytest.mark.parametrize(
    ("value", "is_minimum", "verdict"),
    [
        (2.0, True, "reached"),
        (1.9, True, "missed"),
        (2.0, False, "reached"),
        (2.1, False, "missed"),
        (nan, True, "not measured"),
    ],
)
def test_a_goal_is_judged_by_its_bound(value: float, is_minimum: bool, verdict: str) -> None:
    """The bound itself is good enough, on either side."""
    goal = Goal("x", value, 2.0, is_minimum=is_minimum)
    assert goal.verdict == verdict
    assert goal.limit == f"at {'least' if is_minimum else 'most'} 2 x"
