"""`python -m benchmarks.pytest_suites`: fetch, run, compare, print the tables."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks import machine, page
from benchmarks.pytest_suites import modes
from benchmarks.pytest_suites.environment import (
    ROOT,
    CannotPrepare,
    Environment,
    has_our_plugin,
    prepare,
    versions,
)
from benchmarks.pytest_suites.goals import goals
from benchmarks.pytest_suites.measuring import Measured, Measurer
from benchmarks.pytest_suites.modes import Mode
from benchmarks.pytest_suites.report import render
from benchmarks.pytest_suites.rows import LAST_20, MANY, ONE, ROWS, WORKERS
from benchmarks.pytest_suites.run import Runner
from benchmarks.pytest_suites.short_table import short_table

FOLDER = Path(tempfile.gettempdir()) / "workpool-pytest-suites"

PAGE = ROOT / "docs" / "pytest.md"

QUICK_ROUNDS = {ONE: 5, MANY: 2, LAST_20: 4}
"""Rounds of a quick run, where one would say nothing."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; return 1 if `--check` finds a goal missed, 2 if nothing could be run."""
    options = _parser().parse_args(arguments)
    rows = [ROWS[name] for name in options.only or ROWS]
    if options.quick:
        rows = [
            replace(row, rounds=QUICK_ROUNDS.get(row.name, 1), with_memory=False) for row in rows
        ]
    try:
        environment = prepare(options.folder, [row.suite for row in rows if row.suite])
        all_modes = _modes(environment, options)
    except CannotPrepare as error:
        print(f"python -m benchmarks.pytest_suites: {error}", file=sys.stderr)
        return 2
    runner = Runner(environment)
    runner.forget()
    results: dict[str, Measured] = {}
    measurer = Measurer(runner, all_modes, _progress)
    for row in rows:
        results[row.name] = measurer.measure(row, options.rounds)
        if options.json:  # after each row: a long run may be broken off
            _save(options.json, environment, results)
    _progress("")
    reached = goals(results)
    print("; ".join((machine.describe() | versions(environment)).values()), end="\n\n")
    print(render(results, all_modes, reached))
    if options.page:
        about = "; ".join((machine.describe() | versions(environment)).values())
        page.insert("figures", f"{short_table(results)}\n\n{about}.", PAGE)
    return int(options.check and not all(goal.is_reached for goal in reached))


def _modes(environment: Environment, options: argparse.Namespace) -> list[Mode]:
    """Return the modes asked for, ours only if the checkout has the plugin."""
    found = modes.modes(WORKERS, tuple(shlex.split(options.plugin_options)))
    if not has_our_plugin(environment):
        print("the installed checkout has no plugin for pytest: only the others are measured")
        found = [mode for mode in found if not mode.is_ours]
    if options.quick:
        found = [mode for mode in found if mode.name != modes.OURS_AGAIN]
    return [mode for mode in found if not options.modes or mode.name in options.modes]


def _save(path: Path, environment: Environment, results: dict[str, Measured]) -> None:
    """Write every figure of every run."""
    data = {
        "machine": machine.describe() | versions(environment),
        "rows": {name: _as_data(measured) for name, measured in results.items()},
    }
    path.write_text(json.dumps(data, indent=1) + "\n")


def _as_data(measured: Measured) -> dict[str, object]:
    dropped = {"verdicts", "output"}
    runs = {
        mode: [{k: v for k, v in asdict(run).items() if k not in dropped} for run in each]
        for mode, each in measured.runs.items()
    }
    return {
        "runs": runs,
        "notes": measured.notes,
        "peak_pss": measured.peak_pss,
        "troubles": measured.troubles,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pytest_suites",
        description="Run suites serially, with pytest-xdist and with this package's plugin in turn.",
    )
    add = parser.add_argument
    add("--only", action="append", choices=ROWS, help="this row; repeatable")
    add("--modes", action="append", metavar="MODE", help="this mode; repeatable")
    add("--rounds", type=int, metavar="N", help="rounds of each row (by default 3 to 20)")
    add("--quick", action="store_true", help="one round of most rows: a quarter of an hour")
    add("--folder", type=Path, default=FOLDER, help="keeps what was fetched (default %(default)s)")
    add("--json", type=Path, metavar="FILE", help="write every figure to a file")
    add("--plugin-options", default="", metavar="TEXT", help="further options for the plugin")
    add("--page", action="store_true", help="put the table for users into docs/pytest.md")
    add("--check", action="store_true", help="exit with 1 unless every goal is reached")
    return parser


def _progress(text: str) -> None:
    """Show how far it is, on one line, where somebody watches."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
