"""The report of a run: all tables, the goals, and why something was not measured."""

from collections.abc import Sequence
from math import isnan

from benchmarks.contestants import BASELINE, ENTRIES, PYTHON_PASS
from benchmarks.figures import Results
from benchmarks.goals import Goal
from benchmarks.report import NOTHING, number, significant, table
from benchmarks.run_tables import subjects, title
from benchmarks.settings import Settings

HEADINGS = [
    "",
    "tasks/s",
    "to A",
    "p50 us",
    "to A",
    "p99 us",
    "skew",
    "first ms",
    "to B",
    "idle ms",
]
FIRST_TABLE = {"rate", "round-trip", "skew", "first-result", "idle"}
GOAL_HEADINGS = ["goal", "promised", "measured", "", "workpool", "the other", "floor", "unit"]


def render(
    machine: dict[str, str],
    names: Sequence[str],
    results: Results,
    settings: Settings,
    goals: Sequence[Goal],
) -> str:
    """Return the whole report."""
    parts = [
        "; ".join(machine.values()) + f"; rounds: {settings.rounds}",
        table(HEADINGS, [_row(name, results) for name in names if _is_pool(name)]),
        _legend(settings),
        *subjects(names, results, settings),
        table(GOAL_HEADINGS, [_goal_row(goal) for goal in goals]),
        _notes(names, results),
    ]
    return "\n\n".join(part for part in parts if part)


def _is_pool(name: str) -> bool:
    """Whether a contestant has something to show in the first table."""
    return bool(ENTRIES[name].measures & FIRST_TABLE)


def _row(name: str, results: Results) -> list[str]:
    """Return the cells of a contestant."""

    def cell(measure: str, figure: str, digits: int, baseline: str = "") -> str:
        if (failure := results.failures.get((measure, name))) is not None:
            return failure.word
        if baseline:
            return number(results.ratio(measure, name, figure, baseline), digits)
        return number(results.median(measure, name, figure), digits)

    return [
        title(name, results),
        cell("rate", "tasks_per_s", 0),
        cell("rate", "tasks_per_s", 2, BASELINE),
        cell("round-trip", "p50_us", 0),
        cell("round-trip", "p50_us", 2, BASELINE),
        cell("round-trip", "p99_us", 0),
        cell("skew", "times_ideal", 3),
        cell("first-result", "first_ms", 1),
        cell("first-result", "first_ms", 2, PYTHON_PASS),
        cell("idle", "cpu_ms", 1),
    ]


def _legend(settings: Settings) -> str:
    return (
        f"{settings.workers} workers; tasks/s: awaited no-op tasks; p50, p99: one awaited task at"
        " a time; skew: time for work of very uneven tasks as a multiple of the ideal;"
        " first: from no pool to the first result, one worker; idle: processor time of parent"
        f" and workers over {settings.idle_seconds:g} s."
    )


def _goal_row(goal: Goal) -> list[str]:
    figures = [significant(figure) for figure in (goal.ours, goal.theirs, goal.floor)]
    measured = NOTHING if isnan(goal.value) else f"{significant(goal.value)} {goal.unit}"
    return [goal.what, goal.limit, measured, goal.verdict, *figures, goal.figure_unit or NOTHING]


def _notes(names: Sequence[str], results: Results) -> str:
    """Say of each failure what it was, once if a contestant failed everything in one way."""
    notes: dict[tuple[str, str], list[str]] = {}
    for (measure, name), failure in results.failures.items():
        if name in names:
            notes.setdefault((name, failure.reason), []).append(measure)
    return "\n".join(
        f"- {ENTRIES[name].title} ({', '.join(measures)}): {reason}"
        for (name, reason), measures in notes.items()
    )
