"""The benchmark's charts: files that can be read, and who is on them."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from benchmarks.charts.bars import Bar, Panel, brief, longest
from benchmarks.charts.bars import draw as draw_bars
from benchmarks.charts.lines import Line, Plot, amount, bounds, ticks
from benchmarks.charts.lines import draw as draw_lines
from benchmarks.charts.overview import overview
from benchmarks.contestants import BASELINE, OURS
from benchmarks.figures import Results

MACHINE = {"processor": "any & <all>", "python": "CPython"}


def texts(svg: str) -> list[str]:
    """All that is written on a chart; raises if it is no XML."""
    return [element.text or "" for element in ElementTree.fromstring(svg).iter() if element.text]


def test_the_overview_shows_whoever_was_measured() -> None:
    """A contestant has a bar where it has a figure; a panel without bars is left out."""
    results = Results()
    results.add("rate", OURS, {"tasks_per_s": 200_000.0})
    results.add("rate", BASELINE, {"tasks_per_s": 8_000.0})
    written = texts(overview(MACHINE, [OURS, BASELINE, "pebble"], results))
    assert "Tasks per second" in written
    assert "200,000" in written
    assert "pebble" not in written
    assert "Round trip" not in written
    assert any(MACHINE["processor"] in text for text in written)


def test_a_bar_is_cut_off_only_where_less_is_better() -> None:
    """There one very slow contestant would flatten the others; where more is better it is the point."""
    bars = [Bar("a", 1.0), Bar("b", 2.0), Bar("c", 1000.0)]
    assert longest(Panel("", "", bars, is_more_better=False)) == 5.0
    assert longest(Panel("", "", bars)) == 1000.0
    assert "1,000" in texts(draw_bars("t", "n", [Panel("p", "", bars, is_more_better=False)]))


def test_lines_are_drawn_on_axes_around_their_points() -> None:
    """Every step is named below the axis, powers of ten beside it."""
    line = Line("workpool", [(1, 18.0), (2, 22.0), (64, 330.0)])
    written = texts(draw_lines("t", "n", [Plot("Workers", "workers", "us", [line])]))
    assert {"1", "2", "64", "10", "100", "1k", "workpool"} <= set(written)


def test_axes_end_at_powers_of_ten() -> None:
    """Also where all values are alike."""
    assert bounds([18.0, 330.0]) == (10.0, 1000.0)
    assert bounds([10.0]) == (10.0, 100.0)
    assert ticks((10.0, 1000.0)) == [10.0, 100.0, 1000.0]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(150_366.0, "150,000"), (4.427, "4.43"), (0.0119, "0.0119"), (17.2, "17.2"), (0.0, "0")],
)
def test_a_bar_s_number_has_three_digits(value: float, expected: str) -> None:
    """More would be noise."""
    assert brief(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(1, "1"), (1_000, "1k"), (64_000_000, "64M"), (2e9, "2G")]
)
def test_a_step_is_named_briefly(value: float, expected: str) -> None:
    """Several stand side by side below an axis."""
    assert amount(value) == expected
