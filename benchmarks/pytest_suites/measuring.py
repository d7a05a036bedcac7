"""Runs the rows: modes take turns, and each round begins with another one."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from benchmarks.pytest_suites.modes import NO_WORKPOOL, NO_XDIST, SERIAL, Mode
from benchmarks.pytest_suites.rows import WORKERS, Row
from benchmarks.pytest_suites.run import Run, Runner

COLLECT = "collect"
NO_TERMINAL = "no terminal"
"""Serial without its terminal output: what a worker does of a serial run."""

GOOD = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED)
"""Ends of runs that went as they should: `-x` interrupts a run of xdist."""

AUXILIARY = {
    COLLECT: Mode(COLLECT, (*NO_XDIST, *NO_WORKPOOL, "--collect-only", "-q")),
    NO_TERMINAL: Mode(NO_TERMINAL, (*NO_XDIST, *NO_WORKPOOL, "-p", "no:terminal")),
}


@dataclass(slots=True)
class Measured:
    """All runs of a row by mode; a list's index is the round."""

    row: Row
    runs: dict[str, list[Run]] = field(default_factory=dict)
    notes: dict[str, list[Counter[str]]] = field(default_factory=dict)
    """What the tests of each run noted, how often."""
    peak_pss: dict[str, int] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)

    def walls(self, mode: str) -> list[float]:
        """Return the seconds of each run."""
        return [run.wall for run in self.runs.get(mode, [])]


@dataclass(frozen=True, slots=True)
class Measurer:
    """Runs rows in the modes asked for and collects the figures."""

    runner: Runner
    modes: Sequence[Mode]
    progress: Callable[[str], None]

    def measure(self, row: Row, rounds: int | None) -> Measured:
        """Run a row."""
        measured = Measured(row)
        place = row.place(self.runner.environment)
        rounds = rounds or row.rounds
        modes = [each for each in self.modes if not row.only_modes or each.name in row.only_modes]
        # Once for nothing: it writes the bytecode.
        self._run(measured, place, AUXILIARY[COLLECT], keep=False)
        turn = [*modes, AUXILIARY[COLLECT], *([AUXILIARY[NO_TERMINAL]] * (not row.is_real))]
        for number in range(rounds):
            first = number % len(turn)
            for mode in turn[first:] + turn[:first]:
                self.progress(f"{row.name}: round {number + 1} of {rounds}, {mode.name}")
                self._run(measured, place, mode)
        if row.with_memory:
            for mode in modes:
                self.progress(f"{row.name}: memory, {mode.name}")
                run = self.runner.run(place, row.arguments, mode, memory=True)
                measured.peak_pss[mode.name] = run.peak_pss
        return measured

    def _run(self, measured: Measured, place: Path, mode: Mode, *, keep: bool = True) -> None:
        row = measured.row
        is_shuffled = row.suite is not None and row.suite.is_shuffled
        with tempfile.NamedTemporaryFile("r") as notes:
            run = self.runner.run(
                place,
                row.arguments,
                mode,
                outcomes=row.is_real and mode.name not in AUXILIARY,
                sorted_tests=is_shuffled,
                extra_environment={"SYNTHETIC_NOTES": notes.name},
            )
            noted = Counter(notes.read().split("\n")[:-1])
        if keep:
            measured.runs.setdefault(mode.name, []).append(run)
            measured.notes.setdefault(mode.name, []).append(noted)
            measured.troubles += _troubles(measured, run, mode)


def _troubles(measured: Measured, run: Run, mode: Mode) -> list[str]:
    """Say where a run was not what it should be."""
    reference = measured.runs.get(SERIAL, [run])[0]
    name = f"{measured.row.name}, {mode.name}"
    found = []
    if mode.name not in AUXILIARY and run.status not in GOOD:
        found.append(f"{name}: ended with {run.status}:\n{run.output[-1500:]}")
    if measured.row.is_real and mode.name not in AUXILIARY:
        found += [f"{name}: {line}" for line in differences(reference, run)]
    return found


def differences(reference: Run, run: Run) -> list[str]:
    """Return how the outcomes of a run differ from another one's."""
    lines = []
    for test in sorted(reference.verdicts.keys() | run.verdicts.keys()):
        expected, found = (each.verdicts.get(test, "absent") for each in (reference, run))
        if expected != found:
            lines.append(f"{test} is {found}, serial {expected}")
    if run.subtests != reference.subtests:
        lines.append(f"{run.subtests} subtests, serial {reference.subtests}")
    if len(lines) > 5:
        lines[5:] = [f"and {len(lines) - 5} more"]
    return lines


def controller_ms(one: Measured, many: Measured, mode: str, count: int) -> list[float]:
    """Return the controller's processor time per passing test, in ms.

    That is what a run of many tests takes more than a run of one, without what the controller's own
    collection takes more, if it collects.
    """

    def spent(run: Run) -> float:
        return run.controller.cpu - run.controller.collecting

    pairs = zip(one.runs.get(mode, []), many.runs.get(mode, []), strict=False)
    return [(spent(large) - spent(small)) / (count - 1) * 1e3 for small, large in pairs]


def worker_ms(many: Measured, mode: str, count: int) -> list[float]:
    """Return a worker's processor time per test beyond a serial run's, in ms.

    Both from the end of the collection to the end of the process; serial without terminal output,
    which a worker does not write either.
    """
    pairs = zip(many.runs.get(NO_TERMINAL, []), many.runs.get(mode, []), strict=False)
    return [
        (sum(worker.running for worker in run.workers) - serial.controller.running) / count * 1e3
        for serial, run in pairs
        if len(run.workers) == WORKERS
    ]


def bound(measured: Measured) -> float:
    """Return the seconds of two perfect workers: collection, then half the rest or the longest."""
    collecting = min(measured.walls(COLLECT))
    best = min(measured.runs[SERIAL], key=lambda run: run.wall)
    return collecting + max((best.wall - collecting) / WORKERS, best.longest)
