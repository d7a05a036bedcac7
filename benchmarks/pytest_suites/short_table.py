"""The table for users: how long each suite takes, serially, with pytest-xdist and with this package's plugin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan, nan

from benchmarks.figures import median
from benchmarks.pytest_suites.measuring import Measured
from benchmarks.pytest_suites.modes import OURS, SERIAL
from benchmarks.pytest_suites.report import geometric_mean, number
from benchmarks.pytest_suites.rows import FIXTURES, MANY, ONE
from benchmarks.report import table

TITLES = {
    ONE: "one test",
    MANY: "10,000 trivial tests",
    "long first": "two tests of 3 s, then 99 of 10 ms",
    "long last": "99 tests of 10 ms, then two of 3 s",
    "long at both ends": "two of 3 s, 99 of 10 ms, two of 3 s",
    FIXTURES: "13 modules with a fixture of 0.25 s",
}
"""The made suites that are shown, as users will understand them; the real ones are shown by their names."""

HEADINGS = ("suite", "serial", "pytest-xdist's best mode", "workpool", "to xdist", "to serial")


def short_table(results: Mapping[str, Measured]) -> str:
    """Return it, in Markdown; empty if nothing that it shows was measured."""
    real = [each for each in results.values() if each.row.suite is not None]
    made = [results[name] for name in TITLES if name in results]
    rows = [_row(each) for each in [*real, *made]]
    if len(real) > 1:
        rows.insert(len(real), _means(real))
    return table(HEADINGS, rows)


def best_xdist(measured: Measured) -> tuple[float, str]:
    """Return the shortest median of pytest-xdist's modes, and the mode."""
    medians = [
        (median(measured.walls(mode)), mode.removeprefix("xdist "))
        for mode in measured.runs
        if mode.startswith("xdist")
    ]
    return min(medians, default=(nan, ""))


def _row(measured: Measured) -> list[str]:
    ours = median(measured.walls(OURS))
    serial = median(measured.walls(SERIAL))
    best, mode = best_xdist(measured)
    cells = [seconds(serial), f"{seconds(best)} ({mode})" if mode else seconds(best), seconds(ours)]
    return [_title(measured), *cells, number(ours / best), number(ours / serial)]


def _means(real: Sequence[Measured]) -> list[str]:
    to_xdist = [median(each.walls(OURS)) / best_xdist(each)[0] for each in real]
    to_serial = [median(each.walls(OURS)) / median(each.walls(SERIAL)) for each in real]
    means = [number(geometric_mean(ratios)) for ratios in (to_xdist, to_serial)]
    return ["geometric mean of these", "", "", "", *means]


def seconds(value: float) -> str:
    """Return a time as text; nothing for one that was not measured."""
    return number(value) if isnan(value) else f"{number(value, 2 if value < 1 else 1)} s"


def _title(measured: Measured) -> str:
    suite = measured.row.suite
    if suite is not None:
        return f"{suite.name} {suite.version}"
    return TITLES[measured.row.name]
