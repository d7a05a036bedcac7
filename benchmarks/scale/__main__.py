"""`python -m benchmarks.scale`: sweep, print the tables, draw the chart."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine, page
from benchmarks.contestants import ENTRIES
from benchmarks.figures import Figures, median
from benchmarks.runner import end_orderly, run_session
from benchmarks.scale.report import chart, render
from benchmarks.scale.sweeps import SWEEPS

DEADLINE = 180.0

Rounds = dict[tuple[str, str, int], list[Figures]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all points, in as many rounds as asked for."""
    options = _parser().parse_args(arguments)
    found: Rounds = {}
    for _ in range(options.rounds):
        for sweep, contestant, step in _points(options.only or list(SWEEPS)):
            figures = _measure(sweep, contestant, step)
            if figures is not None:
                found.setdefault((sweep, contestant, step), []).append(figures)
    medians = {point: _median(rounds) for point, rounds in found.items()}
    described = machine.describe()
    rendered = "; ".join(described.values()) + f"; rounds: {options.rounds}\n\n{render(medians)}"
    print(rendered)
    if options.readme:
        page.insert("scale", rendered)
    if options.json:
        options.json.write_text(_dump(described, medians))
    if options.chart:
        options.chart.write_text(chart(described, medians))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale",
        description="Measure how the cost of a task grows with tasks, workers and bytes.",
    )
    parser.add_argument(
        "--only", metavar="SWEEP", action="append", choices=SWEEPS, help="repeatable"
    )
    parser.add_argument("--rounds", metavar="N", type=int, default=3)
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures to a file")
    parser.add_argument("--chart", metavar="FILE", type=Path, help="draw them as an SVG file")
    parser.add_argument("--readme", action="store_true", help="put the tables into the README")
    return parser


def _points(sweeps: Sequence[str]) -> list[tuple[str, str, int]]:
    """Return all points, those to be compared next to each other."""
    return [
        (sweep, contestant, step)
        for sweep in sweeps
        for step in sorted({step for steps in SWEEPS[sweep].steps.values() for step in steps})
        for contestant, steps in SWEEPS[sweep].steps.items()
        if step in steps
    ]


def _measure(sweep: str, contestant: str, step: int) -> Figures | None:
    """Run one point; say on standard error why there is none."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        result, errors = Path(folder, "result"), Path(folder, "errors")
        command = [sys.executable, "-m", "benchmarks.scale.child", sweep, contestant]
        status = run_session([*command, str(step), str(result)], errors, DEADLINE)
        if status != 0:
            reason = "hung" if status is None else errors.read_text(errors="replace")[-500:]
            print(f"{ENTRIES[contestant].title}, {sweep} {step:,}: {reason}", file=sys.stderr)
            return None
        figures: Figures = json.loads(result.read_text())
    return figures


def _median(rounds: list[Figures]) -> Figures:
    return {name: median(figures[name] for figures in rounds) for name in rounds[0]}


def _dump(described: dict[str, str], medians: dict[tuple[str, str, int], Figures]) -> str:
    points = [
        {"sweep": sweep, "contestant": contestant, "step": step, "figures": figures}
        for (sweep, contestant, step), figures in medians.items()
    ]
    return json.dumps({"machine": described, "points": points}, indent=2) + "\n"


if __name__ == "__main__":
    end_orderly()
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\ninterrupted; nothing was left running")
