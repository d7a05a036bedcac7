"""`python -m benchmarks`: measure, print the tables, say which goals were reached."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from math import isnan
from pathlib import Path

from benchmarks import machine, page, run_report, runner
from benchmarks.charts.overview import overview
from benchmarks.contestants import ENTRIES, SHORT_NAMES
from benchmarks.figures import Results
from benchmarks.goals import Goal, goals
from benchmarks.guard import judge
from benchmarks.settings import FULL, SHORT, Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 1 if `--check` is given and a goal was not reached."""
    options = _parser().parse_args(arguments)
    if options.write_reference:
        return _write_reference()
    if options.quick:
        return _check_ratios()
    settings = SHORT if options.short else FULL
    if options.rounds:
        settings = replace(settings, rounds=options.rounds)
    names = options.only or (SHORT_NAMES if options.short else list(ENTRIES))
    results = runner.run(names, settings, _progress)
    _progress("")
    described, promised = machine.describe(), goals(results)
    rendered = run_report.render(described, names, results, settings, promised)
    print(rendered)
    if options.readme:
        page.insert("table", rendered)
    if options.json:
        options.json.write_text(_dump(described, settings, results, promised))
    if options.chart:
        options.chart.write_text(overview(described, names, results))
    is_met = all(goal.verdict == "reached" for goal in promised)
    return 1 if options.check and not is_met else 0


def _check_ratios() -> int:
    """Run the quick form; return 1 if a ratio has fallen."""
    compared = judge.check(judge.measure_pair, judge.read_reference())
    print(judge.render(compared))
    return 1 if any(each.has_fallen for each in compared) else 0


def _write_reference() -> int:
    """Keep what the quick form measures; say so if the machine was too busy for it."""
    ratios, others = judge.make_reference(judge.measure_pair)
    judge.write_reference(machine.describe(), ratios)
    print(judge.render(judge.compare(ratios, {})))
    if others > judge.BUSY:
        print(
            f"\nOther programs used up to {others:.0%} of the machine meanwhile: wall times are not to"
            " be relied on. Write the reference again when nothing else runs."
        )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure workpool beside other process pools, in one run on the same work.",
        epilog=f"Names: {', '.join(ENTRIES)}.",
    )
    parser.add_argument("--only", metavar="NAMES", type=_names, help="these rows, with commas")
    parser.add_argument("--rounds", metavar="N", type=_count, help="rounds of each measure")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="half a minute: have the ratios to others fallen by half since the reference?",
    )
    parser.add_argument(
        "--write-reference", action="store_true", help="measure as --quick; keep as reference"
    )
    parser.add_argument("--short", action="store_true", help="two short rounds, few rows")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures to a file")
    parser.add_argument("--chart", metavar="FILE", type=Path, help="draw the run as an SVG file")
    parser.add_argument("--readme", action="store_true", help="put the tables into the README")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a goal is missed")
    return parser


def _names(text: str) -> list[str]:
    """Parse the value of `--only`."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in ENTRIES]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"no such row: {', '.join(unknown) or '(none given)'}")
    return names


def _count(text: str) -> int:
    """Parse the value of `--rounds`."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, not {text!r}")
    return int(text)


def _progress(text: str) -> None:
    """Show what is being measured, on one line, where somebody watches."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _dump(
    described: dict[str, str], settings: Settings, results: Results, promised: Sequence[Goal]
) -> str:
    """Return all that the run yielded as JSON; what was not measured is null."""

    def number(value: float) -> float | None:
        return None if isnan(value) else value

    data = {
        "machine": described,
        "settings": asdict(settings),
        "versions": results.versions,
        "rounds": [
            {"measure": measure, "contestant": name, "figures": rounds}
            for (measure, name), rounds in results.rounds.items()
        ],
        "failures": [
            {"measure": measure, "contestant": name, **asdict(failure)}
            for (measure, name), failure in results.failures.items()
        ],
        "goals": [
            {
                "what": goal.what,
                "limit": goal.limit,
                "value": number(goal.value),
                "verdict": goal.verdict,
                "workpool": number(goal.ours),
                "other": number(goal.theirs),
                "floor": number(goal.floor),
                "unit": goal.figure_unit,
            }
            for goal in promised
        ],
    }
    return json.dumps(data, indent=2) + "\n"


if __name__ == "__main__":
    runner.end_orderly()
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\ninterrupted; nothing was left running")
    except RuntimeError as error:
        sys.exit(f"python -m benchmarks: {error}")
