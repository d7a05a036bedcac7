"""The table for users of the benchmark of parallel pytest."""

from __future__ import annotations

from benchmarks.pytest_suites.__main__ import PAGE
from benchmarks.pytest_suites.measuring import Measured
from benchmarks.pytest_suites.modes import OURS, SERIAL
from benchmarks.pytest_suites.rows import MANY, ROWS
from benchmarks.pytest_suites.run import Run
from benchmarks.pytest_suites.short_table import short_table


def measured(name: str, **seconds: list[float]) -> Measured:
    """Return a row with runs that took so long."""
    names = {"serial": SERIAL, "load": "xdist load", "worksteal": "xdist worksteal", "ours": OURS}
    runs = {names[mode]: [Run(wall, 0) for wall in walls] for mode, walls in seconds.items()}
    return Measured(ROWS[name], runs)


def test_each_row_is_compared_with_the_best_mode() -> None:
    """Medians count, and the mean of the real suites stands below them."""
    rows = [
        measured("sh", serial=[8.0, 99.0, 8.0], load=[4.0], worksteal=[5.0], ours=[2.0]),
        measured("pygments", serial=[20.0], load=[12.0], worksteal=[10.0], ours=[20.0]),
        measured(MANY, serial=[4.0], load=[5.0], ours=[0.5]),
    ]
    cells = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in short_table({each.row.name: each for each in rows}).splitlines()[2:]
    ]
    assert cells == [
        ["sh 2.4.0", "8.0 s", "4.0 s (load)", "2.0 s", "0.50", "0.25"],
        ["pygments 2.21.0", "20.0 s", "10.0 s (worksteal)", "20.0 s", "2.00", "1.00"],
        ["geometric mean of these", "", "", "", "1.00", "0.50"],
        ["10,000 trivial tests", "4.0 s", "5.0 s (load)", "0.50 s", "0.10", "0.12"],
    ]


def test_what_was_not_measured_is_a_dash() -> None:
    """A run of some modes only has a table too."""
    assert " - |" in short_table({"sh": measured("sh", ours=[2.0])})


def test_the_page_has_a_place_for_it() -> None:
    """Or the end of a long run would be lost."""
    text = PAGE.read_text()
    assert "<!-- figures -->" in text.partition("<!-- /figures -->")[0]
