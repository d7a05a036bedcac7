"""Line charts with logarithmic axes: how a cost grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from benchmarks.charts.drawing import FAINT, GRID, PEER, Drawing

WIDTH = 300
HEIGHT = 210
LEFT = 58
HEAD = 62
FOOT = 50
GAP = 20
TOP = 84
MOST_STEPS = 7
"""Steps that are named below the axis one by one; of more, powers of ten are."""


@dataclass(frozen=True, slots=True)
class Line:
    """One contestant's figures by what they depend on."""

    label: str
    points: Sequence[tuple[float, float]]
    colour: str = PEER


@dataclass(frozen=True, slots=True)
class Plot:
    """One chart of several in a row."""

    title: str
    across: str
    up: str
    lines: Sequence[Line]


def draw(title: str, note: str, plots: Sequence[Plot]) -> str:
    """Return a row of plots as SVG."""
    sheet = Drawing(GAP + (LEFT + WIDTH + GAP) * len(plots), TOP + HEAD + HEIGHT + FOOT, title)
    sheet.text(GAP, 34, title, size=19, is_bold=True)
    sheet.text(GAP, 55, note, size=12, fill=FAINT)
    _legend(sheet, plots)
    for index, plot in enumerate(plots):
        _Frame(sheet, GAP + LEFT + index * (LEFT + WIDTH + GAP), TOP + HEAD, plot).draw()
    return sheet.render()


def _legend(sheet: Drawing, plots: Sequence[Plot]) -> None:
    """Say once which colour is whose."""
    labels = {line.label: line.colour for plot in plots for line in plot.lines}
    x: float = GAP
    for label, colour in labels.items():
        sheet.rectangle(x, 70, 10, 10, colour, radius=2)
        sheet.text(x + 15, 79, label)
        x += 40 + 6.5 * len(label)


class _Frame:
    """The axes of one plot."""

    def __init__(self, sheet: Drawing, left: float, top: float, plot: Plot) -> None:
        self._sheet, self._left, self._top, self._plot = sheet, left, top, plot
        points = [point for line in plot.lines for point in line.points]
        steps = sorted({x for x, _ in points})
        self._across = (steps[0], max(steps[-1], 2 * steps[0]))
        self._steps = steps if len(steps) <= MOST_STEPS else ticks(self._across)
        self._up = bounds([y for _, y in points])

    def draw(self) -> None:
        """Draw title, axes and lines."""
        plot, sheet = self._plot, self._sheet
        sheet.text(self._left, self._top - 32, plot.title, size=14, is_bold=True)
        sheet.text(self._left, self._top - 14, plot.up, size=11, fill=FAINT)
        middle = self._left + WIDTH / 2
        sheet.text(
            middle, self._top + HEIGHT + 38, plot.across, size=11, fill=FAINT, anchor="middle"
        )
        self._axes()
        for line in plot.lines:
            self._line(line)

    def _axes(self) -> None:
        for value in ticks(self._up):
            y = self._y(value)
            self._sheet.line([(self._left, y), (self._left + WIDTH, y)], GRID)
            self._sheet.text(self._left - 7, y + 4, amount(value), size=11, anchor="end")
        for value in self._steps:
            x = self._x(value)
            self._sheet.line([(x, self._top), (x, self._top + HEIGHT)], GRID)
            self._sheet.text(x, self._top + HEIGHT + 18, amount(value), size=11, anchor="middle")

    def _line(self, line: Line) -> None:
        places = [(self._x(x), self._y(y)) for x, y in line.points]
        self._sheet.line(places, line.colour, 2)
        for x, y in places:
            self._sheet.dot(x, y, line.colour)

    def _x(self, value: float) -> float:
        return self._left + WIDTH * _share(value, self._across)

    def _y(self, value: float) -> float:
        return self._top + HEIGHT * (1 - _share(value, self._up))


def bounds(values: Sequence[float]) -> tuple[float, float]:
    """Return the powers of ten around the values, at least one power apart."""
    low, high = floor(log10(min(values))), ceil(log10(max(values)))
    return 10.0**low, 10.0 ** max(high, low + 1)


def ticks(ends: tuple[float, float]) -> list[float]:
    """Return the powers of ten from one end to the other."""
    low, high = ceil(log10(ends[0])), floor(log10(ends[1]))
    return [10.0**power for power in range(low, high + 1)]


def amount(value: float) -> str:
    """Return a round number as short as it can be: 1k, 10M."""
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{letter}"
    return f"{value:g}"


def _share(value: float, ends: tuple[float, float]) -> float:
    return (log10(value) - log10(ends[0])) / (log10(ends[1]) - log10(ends[0]))
