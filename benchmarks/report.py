"""Tables of a run, in Markdown, and everything as data."""

from collections.abc import Sequence
from math import isnan

from benchmarks.contestants import BASELINE, ENTRIES, OURS, PYTHON_PASS
from benchmarks.figures import Results
from benchmarks.goals import Goal
from benchmarks.settings import Settings

NOTHING = "-"
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
        table(HEADINGS, [_row(name, results) for name in names]),
        _legend(settings),
        table(BACKLOG_HEADINGS, _backlog_rows(names, results)),
        _crowd(results, settings),
        table(["goal", "promised", "measured", ""], [_goal_row(goal) for goal in goals]),
        _notes(names, results),
    ]
    return "\n\n".join(part for part in parts if part)


def _row(name: str, results: Results) -> list[str]:
    """Return the cells of a contestant."""

    def cell(measure: str, figure: str, digits: int, baseline: str = "") -> str:
        if (failure := results.failures.get((measure, name))) is not None:
            return failure.word
        if baseline:
            return _number(results.ratio(measure, name, figure, baseline), digits)
        return _number(results.median(measure, name, figure), digits)

    return [
        _title(name, results),
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


def _title(name: str, results: Results) -> str:
    """Return a contestant's title with the version that was measured and the baseline letters."""
    letter = {BASELINE: "A: ", PYTHON_PASS: "B: "}.get(name, "")
    return f"{letter}{ENTRIES[name].title} {results.versions.get(name, '')}".strip()


def _legend(settings: Settings) -> str:
    return (
        f"{settings.workers} workers; tasks/s: awaited no-op tasks; p50, p99: one awaited task at"
        " a time; skew: time for work of very uneven tasks as a multiple of the ideal;"
        " first: from no pool to the first result, one worker; idle: processor time of parent"
        f" and workers over {settings.idle_seconds:g} s."
    )


BACKLOG_HEADINGS = [
    "tasks added at once",
    "tasks",
    "us to add one",
    "bytes waiting",
    "done after s",
]


def _backlog_rows(names: Sequence[str], results: Results) -> list[list[str]]:
    """Return a row for each contestant that was given a backlog."""
    rows = []
    for name in names:
        median = {
            figure: results.median("backlog", name, figure)
            for figure in ("tasks", "add_s", "bytes_per_task", "total_s")
        }
        failure = results.failures.get(("backlog", name))
        if failure is not None:
            rows.append([_title(name, results), failure.word, *[NOTHING] * 3])
        elif not isnan(median["tasks"]):
            added = median["add_s"] / median["tasks"] * 1e6
            cells = [(median["tasks"], 0), (added, 1), (median["bytes_per_task"], 0)]
            cells.append((median["total_s"], 2))
            rows.append([_title(name, results), *(_number(*cell) for cell in cells)])
    return rows


def _crowd(results: Results, settings: Settings) -> str:
    """Describe the crowd of idle workers in a table of its own."""
    if ("crowd", OURS) not in results.rounds:
        return ""
    rows = []
    for kind in ("Uss", "Pss", "Rss"):
        figures = [f"{kind}_{which}_kb" for which in ("reference", "median", "largest")]
        sizes = [results.median("crowd", OURS, figure) for figure in figures]
        rows.append([kind, *(_number(size, 0) for size in sizes)])
    cpu = [results.median("crowd", OURS, f"{who}_cpu_ms") for who in ("workers", "parent")]
    return (
        table(["memory in kB", "an interpreter", "median worker", "largest worker"], rows)
        + f"\n\n{settings.crowd} idle workers used {cpu[0]:.1f} ms of processor time in"
        f" {settings.idle_seconds:g} s, their parent {cpu[1]:.1f} ms."
    )


def _goal_row(goal: Goal) -> list[str]:
    digits = ".0f" if goal.value >= 100 else ".4g"
    measured = NOTHING if isnan(goal.value) else f"{goal.value:{digits}} {goal.unit}"
    return [goal.what, goal.limit, measured, goal.verdict]


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


def _number(value: float, digits: int) -> str:
    return NOTHING if isnan(value) else f"{value:,.{digits}f}"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table that is aligned for the terminal too; empty without rows."""
    if not rows:
        return ""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    lines = [headings, *rows]
    texts = [
        "| "
        + " | ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        + " |"
        for line in lines
    ]
    rule = "|".join(
        ("-" * (width + 2)) if index == 0 else ("-" * (width + 1) + ":")
        for index, width in enumerate(widths)
    )
    return "\n".join([texts[0], f"|{rule}|", *texts[1:]])
