"""`python -m benchmarks`: measure, print the tables, say which goals were reached."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks import machine, report, runner
from benchmarks.contestants import ENTRIES, QUICK_NAMES
from benchmarks.figures import Results
from benchmarks.goals import Goal, goals
from benchmarks.settings import FULL, QUICK, Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 1 if `--check` is given and a goal was not reached."""
    options = _parser().parse_args(arguments)
    settings = QUICK if options.quick else FULL
    if options.rounds:
        settings = replace(settings, rounds=options.rounds)
    names = options.only or (QUICK_NAMES if options.quick else list(ENTRIES))
    results = runner.run(names, settings, _progress)
    _progress("")
    described, promised = machine.describe(), goals(results)
    print(report.render(described, names, results, settings, promised))
    if options.json:
        options.json.write_text(_dump(described, settings, results, promised))
    is_met = all(goal.verdict == "reached" for goal in promised)
    return 1 if options.check and not is_met else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure workpool beside other process pools, in one run on the same work.",
        epilog=f"Names: {', '.join(ENTRIES)}.",
    )
    parser.add_argument("--only", metavar="NAMES", type=_names, help="these rows, with commas")
    parser.add_argument("--rounds", metavar="N", type=_count, help="rounds of each measure")
    parser.add_argument("--quick", action="store_true", help="a short form, under a minute")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures to a file")
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
                "value": None if goal.verdict == "not measured" else goal.value,
                "verdict": goal.verdict,
            }
            for goal in promised
        ],
    }
    return json.dumps(data, indent=2) + "\n"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\ninterrupted; nothing was left running")
