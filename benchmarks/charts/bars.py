"""Bar charts: who does how much, best first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log10
from statistics import median

from benchmarks.charts.drawing import FAINT, FLOOR, INK, OURS, PEER, Drawing

COLUMNS = 2
PANEL_WIDTH = 440
LABEL_WIDTH = 205
VALUE_WIDTH = 78
ROW = 19
HEAD = 56
GAP = 22
MOST_MEDIANS = 2.5
"""Where less is better, a bar is cut off at so many times the median: one very slow contestant
would flatten all others."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One contestant's figure; `kind` is the colour: ours, a peer's or a floor's."""

    label: str
    value: float
    kind: str = PEER


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart of several on the sheet."""

    title: str
    note: str
    bars: Sequence[Bar]
    is_more_better: bool = True


def draw(title: str, note: str, panels: Sequence[Panel]) -> str:
    """Return a sheet of panels in two columns as SVG."""
    rows = [panels[start : start + COLUMNS] for start in range(0, len(panels), COLUMNS)]
    heights = [HEAD + ROW * max(len(panel.bars) for panel in row) + GAP for row in rows]
    width = COLUMNS * PANEL_WIDTH + 3 * GAP
    sheet = Drawing(width, 74 + sum(heights), title)
    sheet.text(GAP, 34, title, size=19, is_bold=True)
    sheet.text(GAP, 55, note, size=12, fill=FAINT)
    _legend(sheet, width - GAP, 34)
    top: float = 74
    for row, height in zip(rows, heights, strict=True):
        for column, panel in enumerate(row):
            _panel(sheet, GAP + column * (PANEL_WIDTH + GAP), top, panel)
        top += height
    return sheet.render()


def _legend(sheet: Drawing, right: float, y: float) -> None:
    for text, colour, width in (
        ("floor", FLOOR, 50),
        ("other pools", PEER, 96),
        ("workpool", OURS, 86),
    ):
        right -= width
        sheet.rectangle(right, y - 9, 10, 10, colour, radius=2)
        sheet.text(right + 14, y, text, size=12)


def _panel(sheet: Drawing, left: float, top: float, panel: Panel) -> None:
    sheet.text(left, top + 18, panel.title, size=14, is_bold=True)
    better = "more is better" if panel.is_more_better else "less is better"
    sheet.text(left, top + 36, f"{panel.note}; {better}", size=11, fill=FAINT)
    bars = sorted(panel.bars, key=lambda bar: bar.value, reverse=panel.is_more_better)
    largest = longest(panel)
    space = PANEL_WIDTH - LABEL_WIDTH - VALUE_WIDTH
    for index, bar in enumerate(bars):
        y = top + HEAD - 8 + ROW * index
        is_ours = bar.kind == OURS
        length = max(1.5, space * min(bar.value, largest) / largest)
        start = left + LABEL_WIDTH
        sheet.text(start - 8, y + 12, bar.label, size=12, anchor="end", is_bold=is_ours)
        sheet.rectangle(start, y + 1.5, length, ROW - 5, bar.kind, radius=2)
        if bar.value > largest:
            _cut(sheet, start + length - 16, y, ROW)
        ink = INK if is_ours else FAINT
        sheet.text(start + length + 6, y + 12, brief(bar.value), size=11, fill=ink, is_bold=is_ours)


def longest(panel: Panel) -> float:
    """Return the value of the longest bar that is drawn in full."""
    values = [bar.value for bar in panel.bars] or [1.0]
    if panel.is_more_better:
        return max(values)
    return min(max(values), MOST_MEDIANS * median(values))


def _cut(sheet: Drawing, x: float, y: float, height: float) -> None:
    """Show that a bar goes on beyond the paper."""
    for offset in (0, 5):
        points = [(x + offset, y + height - 2), (x + offset + 5, y)]
        sheet.line(points, "#ffffff", 2.2)


def brief(value: float) -> str:
    """Return a number with three digits that count, or more where the integer has more."""
    if value <= 0:
        return "0"
    digits = 2 - floor(log10(value))
    rounded = round(value, digits)
    return f"{rounded:,.{max(0, digits)}f}"
