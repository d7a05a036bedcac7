"""What this package's plugin promises, compared with what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan, nan, prod

from benchmarks.figures import median
from benchmarks.pytest_suites.measuring import Measured, bound, controller_ms, worker_ms
from benchmarks.pytest_suites.modes import OURS, SERIAL
from benchmarks.pytest_suites.rows import EXIT, FIXTURES, LAST_20, MANY, ONE
from benchmarks.pytest_suites.synthetic import FIXTURE_MODULES, LAYOUTS
from benchmarks.pytest_suites.synthetic import MANY as MANY_TESTS
from benchmarks.report import NOTHING

Results = Mapping[str, Measured]


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure that must not be above a limit; NaN if it was not measured."""

    what: str
    limit: float
    value: float

    @property
    def is_reached(self) -> bool:
        """Whether it was measured and is not above the limit."""
        return self.value <= self.limit

    def cells(self) -> list[str]:
        """Return the cells of the table of goals."""
        unknown = isnan(self.value)
        verdict = "not measured" if unknown else "reached" if self.is_reached else "MISSED"
        measured = NOTHING if unknown else f"{self.value:.3g}"
        return [self.what, f"at most {self.limit:.3g}", measured, verdict]


def goals(results: Results) -> list[Goal]:
    """Compare everything that was measured with what is promised."""
    found = [*_speed(results), *_real(results), *_counts(results), *_memory(results)]
    return [goal for goal in found if goal is not None]


def _xdist(measured: Measured) -> list[str]:
    return [name for name in measured.runs if name.startswith("xdist")]


def _to_best_xdist(measured: Measured) -> float:
    """Return our wall time divided by that of xdist's best mode."""
    ours = median(measured.walls(OURS))
    return ours / min((median(measured.walls(mode)) for mode in _xdist(measured)), default=nan)


def _to_ideal(measured: Measured, start: float, pick: Callable[[Sequence[float]], float]) -> float:
    """Return our time without what the start takes, as a multiple of the ideal."""
    walls = measured.walls(OURS)
    return (pick(walls) - start) / measured.row.ideal if walls else nan


def _speed(results: Results) -> Iterator[Goal]:
    start = nan
    if (one := results.get(ONE)) is not None:
        start = median(one.walls(OURS))
        load = median(one.walls("xdist load"))
        yield Goal("one test, to xdist load", 0.75, start / load)
    if (many := results.get(MANY)) is not None:
        yield Goal("10,000 trivial tests, to xdist's best", 0.65, _to_best_xdist(many))
        serial = median(many.walls(OURS)) / median(many.walls(SERIAL))
        yield Goal("10,000 trivial tests, to serial", 0.95, serial)
    for layout in LAYOUTS:
        if layout in results:
            value = _to_ideal(results[layout], start, median)
            yield Goal(f"{layout}, less one test's run, to the ideal", 1.1, value)
    if LAST_20 in results:
        value = _to_ideal(results[LAST_20], start, max)
        yield Goal("long last, the slowest of 20, to the ideal", 1.1, value)


def _real(results: Results) -> Iterator[Goal]:
    real = [each for each in results.values() if each.row.is_real]
    if not real:
        return
    ratios = [_to_best_xdist(each) for each in real]
    yield Goal("real suites: tests with another outcome, or runs that failed", 0, _wrong(real))
    yield Goal("real suites, the worst to xdist's best", 1.0, max(ratios))
    yield Goal("real suites, geometric mean to xdist's best", 0.87, _mean(ratios))
    bounds = [median(each.walls(OURS)) / bound(each) for each in real if SERIAL in each.runs]
    yield Goal("real suites, geometric mean to the bound", 1.12, _mean(bounds))


def _wrong(real: Sequence[Measured]) -> float:
    if not any(OURS in each.runs for each in real):
        return nan
    return sum(OURS in trouble for each in real for trouble in each.troubles)


def _mean(values: Sequence[float]) -> float:
    return prod(values) ** (1 / len(values)) if values else nan


def _counts(results: Results) -> Iterator[Goal]:
    one, many = results.get(ONE), results.get(MANY)
    if many is not None:
        if one is not None:
            spent = median(controller_ms(one, many, OURS, MANY_TESTS))
            yield Goal("controller, ms of processor time per passing test", 0.10, spent)
        extra = median(worker_ms(many, OURS, MANY_TESTS))
        yield Goal("workers, extra ms of processor time per test", 0.05, extra)
    if (fixtures := results.get(FIXTURES)) is not None:
        most = max((noted["set up"] for noted in fixtures.notes.get(OURS, [])), default=nan)
        yield Goal("module fixtures set up (a steal may add one)", FIXTURE_MODULES + 2, most)
        yield Goal("module fixtures, to xdist's best", 0.95, _to_best_xdist(fixtures))
    if (early := results.get(EXIT)) is not None:
        most = max((noted["ran"] for noted in early.notes.get(OURS, [])), default=nan)
        yield Goal("-x, tests that ran (serial: 4)", 6, most)


def _memory(results: Results) -> Iterator[Goal]:
    for each in results.values():
        if each.peak_pss:
            theirs = min((each.peak_pss[mode] for mode in _xdist(each)), default=nan)
            value = each.peak_pss.get(OURS, nan) / theirs
            yield Goal(f"{each.row.name}, memory to xdist's", 1.0, value)
