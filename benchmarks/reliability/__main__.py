"""`python -m benchmarks.reliability`: measure, print the table, say which goals were missed."""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks import machine
from benchmarks.reliability.child import MEASURES
from benchmarks.reliability.finding import FAILED, Finding, none_of
from benchmarks.reliability.settings import FULL, QUICK, Settings
from benchmarks.report import table
from benchmarks.runner import run_session

HEADINGS = ["", "goal", "measured", "", ""]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; return 1 if a goal was missed."""
    options = _parser().parse_args(arguments)
    settings = QUICK if options.quick else FULL
    # Workers that compile their modules anew at each start would be measured as slow to start.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    described = machine.describe()
    print("; ".join(described.values()))
    results: dict[str, list[Finding]] = {}
    for name in options.only or MEASURES:
        results[name] = _run(name, settings)
        print(f"\n{name}: {MEASURES[name]}\n\n{_table(results[name])}", flush=True)
    if options.json:
        options.json.write_text(_dump(described, settings, results))
    missed = [f for findings in results.values() for f in findings if f.verdict == FAILED]
    print(f"\n{len(missed)} goals missed" if missed else "\nno goal missed")
    return 1 if missed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reliability",
        description="Measure what must hold when workers and parents die and tasks are cut short."
        " Goals in seconds count in the full form only, which wants an idle machine.",
        epilog="Measures: " + "; ".join(f"{name}: {text}" for name, text in MEASURES.items()) + ".",
    )
    parser.add_argument("--quick", action="store_true", help="a short form, about a minute")
    parser.add_argument(
        "--only", metavar="NAME", action="append", choices=MEASURES, help="this measure; repeatable"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures to a file")
    return parser


def _run(name: str, settings: Settings) -> list[Finding]:
    """Run one measure in a process of its own; one that fails is a finding itself."""
    with tempfile.TemporaryDirectory(prefix="reliability-") as folder:
        result, errors = Path(folder, "result"), Path(folder, "errors")
        arguments = [name, json.dumps(asdict(settings)), str(result)]
        command = [sys.executable, "-m", "benchmarks.reliability.child", *arguments]
        status = run_session(command, errors, settings.deadline)
        said = errors.read_text(errors="replace")
        if status == 0:
            sys.stderr.write(said)
            return [Finding(**each) for each in json.loads(result.read_text())]
    sys.stderr.write(said)
    how = "hung" if status is None else f"exit status {status}"
    last = said.strip().rpartition("\n")[2]
    return [none_of("measures that failed", 1, f"{how}: {last}")]


def _table(findings: Sequence[Finding]) -> str:
    rows = [[f.what, f.goal, f.measured, f.verdict, f.remark] for f in findings]
    return table(HEADINGS, rows)


def _dump(described: dict[str, str], settings: Settings, results: dict[str, list[Finding]]) -> str:
    """Return all that the run yielded as JSON; what was not measured is null."""
    findings = {
        name: [{**asdict(finding), "verdict": finding.verdict} for finding in found]
        for name, found in results.items()
    }
    data = {"machine": described, "settings": asdict(settings), "findings": findings}
    return json.dumps(data, indent=2) + "\n"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\ninterrupted; nothing was left running")
