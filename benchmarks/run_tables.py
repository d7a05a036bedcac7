"""The tables of a run that are about one subject each."""

from collections.abc import Sequence
from math import isnan

from benchmarks.contestants import BASELINE, ENTRIES, MAPPED, OURS, PYTHON_PASS
from benchmarks.figures import Results
from benchmarks.report import NOTHING, number, table
from benchmarks.settings import Settings

BULK_HEADINGS = ["items/s in one bulk call", "of 1,000,000", "to C", "of 10,000,000", "to C"]
ARRAY_HEADINGS = [
    "large arrays, MB/s",
    "one way",
    "to A",
    "there, back",
    "to A",
    "there, read",
    "shared: tasks/s",
    "to A",
    "copies",
]
BACKLOG_HEADINGS = [
    "tasks added at once",
    "tasks",
    "us to add one",
    "bytes waiting",
    "done after s",
]


def subjects(names: Sequence[str], results: Results, settings: Settings) -> list[str]:
    """Return the tables in their order; empty ones where nothing was measured."""
    return [
        table(BULK_HEADINGS, _bulk_rows(names, results)),
        table(ARRAY_HEADINGS, _array_rows(names, results)),
        table(BACKLOG_HEADINGS, _backlog_rows(names, results)),
        _crowd(results, settings),
    ]


def title(name: str, results: Results) -> str:
    """Return a contestant's title with the version that was measured and the baseline letters."""
    letter = {BASELINE: "A: ", PYTHON_PASS: "B: ", MAPPED: "C: "}.get(name, "")
    return f"{letter}{ENTRIES[name].title} {results.versions.get(name, '')}".strip()


def _cell(
    results: Results, measure: str, name: str, figure: str, digits: int = 0, baseline: str = ""
) -> str:
    """Return a median, or a ratio if there is a baseline, or what went wrong."""
    if (failure := results.failures.get((measure, name))) is not None:
        return failure.word
    if baseline:
        return number(results.ratio(measure, name, figure, baseline), 2)
    return number(results.median(measure, name, figure), digits)


def _bulk_rows(names: Sequence[str], results: Results) -> list[list[str]]:
    """Return a row for each contestant that was given as many items as that."""
    return [
        [
            title(name, results),
            _cell(results, "bulk", name, "million_per_s"),
            _cell(results, "bulk", name, "million_per_s", baseline=MAPPED),
            _cell(results, "bulk", name, "ten_million_per_s"),
            _cell(results, "bulk", name, "ten_million_per_s", baseline=MAPPED),
        ]
        for name in names
        if "bulk" in ENTRIES[name].measures
    ]


def _array_rows(names: Sequence[str], results: Results) -> list[list[str]]:
    """Return a row for each contestant that was given large arrays."""
    return [
        [
            title(name, results),
            _cell(results, "payload", name, "ends_mb_per_s"),
            _cell(results, "payload", name, "ends_mb_per_s", baseline=BASELINE),
            _cell(results, "payload", name, "echo_mb_per_s"),
            _cell(results, "payload", name, "echo_mb_per_s", baseline=BASELINE),
            _cell(results, "payload", name, "sum_mb_per_s"),
            _cell(results, "shared", name, "tasks_per_s", 1),
            _cell(results, "shared", name, "tasks_per_s", baseline=BASELINE),
            _cell(results, "shared", name, "copies", 2),
        ]
        for name in names
        if ENTRIES[name].measures & {"payload", "shared"}
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
            rows.append([title(name, results), failure.word, *[NOTHING] * 3])
        elif not isnan(median["tasks"]):
            added = median["add_s"] / median["tasks"] * 1e6
            cells = [(median["tasks"], 0), (added, 1), (median["bytes_per_task"], 0)]
            cells.append((median["total_s"], 2))
            rows.append([title(name, results), *(number(*cell) for cell in cells)])
    return rows


def _crowd(results: Results, settings: Settings) -> str:
    """Describe the crowd of idle workers in a table of its own."""
    if ("crowd", OURS) not in results.rounds:
        return ""
    rows = []
    for kind in ("Uss", "Pss", "Rss"):
        figures = [f"{kind}_{which}_kb" for which in ("reference", "median", "largest")]
        sizes = [results.median("crowd", OURS, figure) for figure in figures]
        rows.append([kind, *(number(size, 0) for size in sizes)])
    cpu = [results.median("crowd", OURS, f"{who}_cpu_ms") for who in ("workers", "parent")]
    return (
        table(["memory in kB", "an interpreter", "median worker", "largest worker"], rows)
        + f"\n\n{settings.crowd} idle workers used {cpu[0]:.1f} ms of processor time in"
        f" {settings.idle_seconds:g} s, their parent {cpu[1]:.1f} ms."
    )
