"""The tables of the measured rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isnan, nan, prod

from benchmarks.figures import median
from benchmarks.pytest_suites.goals import Goal
from benchmarks.pytest_suites.measuring import Measured, bound, controller_ms, worker_ms
from benchmarks.pytest_suites.modes import SERIAL, Mode
from benchmarks.pytest_suites.rows import EXIT, FIXTURES, MANY, ONE
from benchmarks.pytest_suites.synthetic import MANY as MANY_TESTS
from benchmarks.report import NOTHING, table

Results = Mapping[str, Measured]


def render(results: Results, modes: Sequence[Mode], goals: Sequence[Goal]) -> str:
    """Return all tables and what went wrong."""
    names = [mode.name for mode in modes]
    real = [each for each in results.values() if each.row.is_real and SERIAL in each.runs]
    parts = [
        "Seconds (medians)\n\n" + table(["", *names], _walls(results.values(), names)),
        _with_title("Divided by serial", table(["", *names], _ratios(real, names))),
        _with_title(
            "Divided by the bound of two perfect workers",
            table(["", "bound s", "longest s", *names], _bounds(real, names)),
        ),
        _with_title("Further figures", table(["", *names], _further(results, names))),
        _with_title(
            "Goals",
            table(["goal", "promised", "measured", ""], [goal.cells() for goal in goals]),
        ),
        "\n".join(f"- {trouble}" for each in results.values() for trouble in each.troubles),
    ]
    return "\n\n".join(part for part in parts if part)


def _with_title(title: str, text: str) -> str:
    return f"{title}\n\n{text}" if text else ""


def number(value: float, digits: int = 2) -> str:
    """Return a figure as text."""
    return NOTHING if isnan(value) else f"{value:.{digits}f}"


def _walls(results: Iterable[Measured], names: Sequence[str]) -> list[list[str]]:
    return [
        [each.row.name, *(number(median(each.walls(name))) for name in names)] for each in results
    ]


def paired(measured: Measured, mode: str, baseline: str) -> float:
    """Return the median of the ratios of the wall times within each round."""
    pairs = zip(measured.walls(mode), measured.walls(baseline), strict=False)
    return median(own / other for own, other in pairs)


def geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean, NaN of nothing."""
    return prod(values) ** (1 / len(values)) if values else nan


def to_bound(measured: Measured, mode: str) -> float:
    """Return the wall time as a multiple of the bound."""
    return median(measured.walls(mode)) / bound(measured)


def _ratios(real: Sequence[Measured], names: Sequence[str]) -> list[list[str]]:
    rows = [(each.row.name, [paired(each, name, SERIAL) for name in names]) for each in real]
    return _with_mean(rows)


def _with_mean(rows: Sequence[tuple[str, list[float]]]) -> list[list[str]]:
    """Return the rows as texts and under them the geometric mean of each column."""
    cells = [[name, *map(number, values)] for name, values in rows]
    if rows:
        columns = zip(*(values for _, values in rows), strict=True)
        cells.append(["geometric mean", *(number(geometric_mean(column)) for column in columns)])
    return cells


def _bounds(real: Sequence[Measured], names: Sequence[str]) -> list[list[str]]:
    rows = _with_mean([(each.row.name, [to_bound(each, name) for name in names]) for each in real])
    longest = [max(run.longest for run in each.runs[SERIAL]) for each in real]
    before = [[number(bound(each)), number(most)] for each, most in zip(real, longest, strict=True)]
    before.append([NOTHING, NOTHING])
    return [[row[0], *more, *row[1:]] for row, more in zip(rows, before, strict=False)]


def _further(results: Results, names: Sequence[str]) -> list[list[str]]:
    """Return what is counted beside the time."""
    rows = []
    if MANY in results and ONE in results:
        one, many = results[ONE], results[MANY]
        controller = [median(controller_ms(one, many, name, MANY_TESTS)) for name in names]
        rows.append(["controller, ms of CPU per test", *(number(x, 3) for x in controller)])
    if MANY in results:
        extra = [median(worker_ms(results[MANY], name, MANY_TESTS)) for name in names]
        rows.append(["workers, extra ms of CPU per test", *(number(x, 3) for x in extra)])
    for name, word in ((FIXTURES, "set up"), (EXIT, "ran")):
        if name in results:
            counts = [noted(results[name], mode, word) for mode in names]
            rows.append([f"{name}: {word}, times", *map(_range, counts)])
    for each in results.values():
        if each.peak_pss:
            peaks = [each.peak_pss.get(name, nan) / 2**20 for name in names]
            rows.append([f"{each.row.name}: MiB at the peak", *(number(x, 0) for x in peaks)])
        if each.row.ideal:
            worst = [max(each.walls(name), default=nan) for name in names]
            rows.append([f"{each.row.name}: slowest run, s", *map(number, worst)])
    return rows


def noted(measured: Measured, mode: str, word: str) -> list[int]:
    """Return how often the tests of each run noted a word."""
    return [counter[word] for counter in measured.notes.get(mode, [])]


def _range(counts: Sequence[int]) -> str:
    if not counts:
        return NOTHING
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"
