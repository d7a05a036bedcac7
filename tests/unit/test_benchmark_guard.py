"""The quick form of the benchmark: what it calls fallen, and what it tries again."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.guard.clocks import MachineClock
from benchmarks.guard.judge import (
    BUSY,
    FALLEN,
    FALLEN_WHEN_BUSY,
    TRIES,
    Comparison,
    Ratios,
    check,
    make_reference,
    read_reference,
    render,
    write_reference,
)
from benchmarks.guard.pairs import PAIRS, WALL_ONLY
from benchmarks.guard.rounds import Side

REFERENCE = {f"{pair}, tasks, {clock}": 10.0 for pair in PAIRS for clock in ("wall", "processor")}


class Machine:
    """Stands in for the measuring: tells ratios, and counts how often each pair was measured."""

    def __init__(self, shares: list[dict[str, float]], others: float = 0.0) -> None:
        self.asked: dict[str, int] = {}
        self._shares, self._others = shares, others

    def measure(self, pair: str) -> tuple[Ratios, float]:
        tries = self.asked[pair] = self.asked.get(pair, 0) + 1
        shares = self._shares[min(tries, len(self._shares)) - 1]
        return {
            f"{pair}, tasks, {clock}": 10 * share for clock, share in shares.items()
        }, self._others


def fallen(machine: Machine) -> set[str]:
    compared = check(machine.measure, REFERENCE)
    return {each.name.rpartition(" ")[2] for each in compared if each.has_fallen}


def test_what_is_as_fast_as_ever_is_measured_once() -> None:
    """Nothing is tried again for nothing, and nothing has fallen."""
    machine = Machine([{"wall": 1.0, "processor": 0.9}])
    assert fallen(machine) == set()
    assert set(machine.asked.values()) == {1}


@pytest.mark.parametrize("clock", ["wall", "processor"])
def test_half_as_fast_has_fallen(clock: str) -> None:
    """By either clock; and it was tried often enough to be sure."""
    machine = Machine([{"wall": 1.0, "processor": 1.0} | {clock: 0.5}])
    assert fallen(machine) == {clock}
    assert set(machine.asked.values()) == {TRIES}


def test_a_fall_that_is_not_seen_again_does_not_count() -> None:
    """What disturbs one try, and another figure in the next, has not made anything slow."""
    tries = [{"wall": 0.4, "processor": 1.0}, {"wall": 1.0, "processor": 0.4}]
    machine = Machine(tries)
    assert fallen(machine) == set()
    assert set(machine.asked.values()) == {2}


def test_where_others_are_busy_wall_time_counts_less() -> None:
    """Wall time a third as fast may be the others' doing, processor time half as fast may not."""
    share = (FALLEN_WHEN_BUSY + FALLEN) / 2
    machine = Machine([{"wall": share, "processor": 1.0}], others=2 * BUSY)
    assert fallen(machine) == set()
    assert fallen(Machine([{"wall": share, "processor": share}], others=2 * BUSY)) == {"processor"}
    assert fallen(Machine([{"wall": 0.1, "processor": 1.0}], others=2 * BUSY)) == {"wall"}


def test_what_has_no_reference_is_new() -> None:
    """A figure that was added is shown, and has not fallen."""
    compared = check(Machine([{"wall": 0.1}]).measure, {})
    assert not any(each.has_fallen for each in compared)
    assert "new" in render(compared)
    assert "no ratio has fallen" in render(compared)


def test_the_table_names_what_has_fallen() -> None:
    """Name, both figures and the share are there."""
    text = render([Comparison("a, tasks, wall", 5.0, 10.0), Comparison("b, tasks, wall", 9, 10)])
    line = next(line for line in text.splitlines() if "FALLEN" in line)
    assert "a, tasks, wall" in line
    assert "0.50" in line
    assert "1 of 2 ratios have fallen" in text


def test_a_reference_is_read_as_it_was_written(tmp_path: Path) -> None:
    """With three digits, which is more than is measured."""
    path = tmp_path / "reference.json"
    write_reference({"python": "any"}, {"a": 0.012345, "b": 12345.0}, path)
    assert read_reference(path) == {"a": 0.0123, "b": 12300.0}


def test_the_reference_is_the_least_of_several_tries() -> None:
    """So that what is as fast as then passes, which needs only the best of as many."""
    machine = Machine([{"wall": 0.9}, {"wall": 0.7}, {"wall": 0.8}], others=0.5)
    ratios, others = make_reference(machine.measure)
    assert set(ratios.values()) == {7.0}
    assert others == 0.5


def test_the_committed_reference_has_every_figure() -> None:
    """Otherwise a figure is measured and held against nothing."""
    expected = {
        f"{name}, {figure.how}, {clock}"
        for name, pair in PAIRS.items()
        for figure in pair.figures
        for clock in ("wall", "processor")
        if clock == "wall" or figure.how not in WALL_ONLY
    }
    assert set(read_reference()) == expected


@pytest.mark.parametrize(
    ("times", "count", "expected"),
    [
        ([[0.4], [0.2], [9.0]], 100, 0.002),
        ([[0.2, 0.2, 0.2, 5.0]], 4, 0.2),
    ],
    ids=["a time for all", "a time for each"],
)
def test_a_side_tells_the_time_of_one_undisturbed_task(
    times: list[list[float]], count: int, expected: float
) -> None:
    """Whether its taker returns one time for all tasks of a round or one for each."""
    taken = iter(times)
    side = Side(lambda: next(taken), count, [])
    for _ in times:
        side.run()
    assert side.seconds()[0] == pytest.approx(expected)


def test_others_are_who_uses_the_machine_beside_this_family() -> None:
    """Own time does not count as others'; more own time than the kernel saw in all counts as none."""
    before = MachineClock(busy=10, all=100, own=5)
    assert MachineClock(busy=16, all=110, own=7).others_since(before) == pytest.approx(0.4)
    assert MachineClock(busy=11, all=110, own=7).others_since(before) == 0
    assert MachineClock.read().others_since(MachineClock.read()) >= 0
