"""`python -m benchmarks.chaos`: run, judge, print the verdict; exit with 1 on any violation."""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.chaos import report
from benchmarks.chaos.drive import run_round
from benchmarks.chaos.plan import Fire, RoundPlan, Shot
from benchmarks.chaos.planning import make_plan
from benchmarks.chaos.report import Tally
from benchmarks.chaos.verdict import judge


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chaos; return 1 if anything was wrong."""
    options = _parser().parse_args(arguments)
    fire = Fire(options.kills, options.segv, options.exit, options.term, options.stop)
    plan = make_plan(options.seed, options.tasks, fire, options.rounds)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    folder = options.keep or Path(tempfile.mkdtemp(prefix="workpool-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    tally = asyncio.run(_run(plan, fire, folder))
    tally.seconds = time.monotonic() - started
    command = _command(options)
    print(report.render(tally, command))
    if options.json:
        options.json.write_text(json.dumps(report.as_data(tally, command), indent=2) + "\n")
    if tally.is_clean and not options.keep:
        shutil.rmtree(folder)
    elif not tally.is_clean:
        print(f"The ledgers are in {folder}")
    return 0 if tally.is_clean else 1


async def _run(plan: Sequence[RoundPlan], fire: Fire, folder: Path) -> Tally:
    tally = Tally(fire)
    left_over: tuple[Shot, ...] = ()
    for each in plan:
        # What a round's end has spared falls due in the next one; the last round waits for it.
        shots = (*(replace(shot, after_lines=0) for shot in left_over), *each.shots)
        seen = await run_round(replace(each, shots=shots), folder)
        left_over = tuple(shots[number] for number in seen.missed_shots)
        tally.count(seen, judge(seen))
        _progress(f"round {each.number + 1} of {len(plan)}: {len(tally.violations)} violations")
    _progress("")
    return tally


def _command(options: argparse.Namespace) -> str:
    names = ("seed", "tasks", "kills", "segv", "exit", "term", "stop", "rounds")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    return " ".join(["python -m benchmarks.chaos", *(f"--{n} {v}" for n, v in given.items())])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.chaos",
        description="Run random tasks under random fire and judge the pool by an independent ledger.",
    )
    counts = {
        "seed": (1, "what all choices are made from"),
        "tasks": (4000, "how many tasks"),
        "kills": (40, "SIGKILLs from outside"),
        "segv": (4, "segmentation faults, half from outside, half by tasks"),
        "exit": (4, "tasks that end their worker with os._exit(0)"),
        "term": (4, "SIGTERMs, half from outside, half by tasks"),
        "stop": (4, "workers stopped, every other then killed, the rest continued"),
        "rounds": (None, "pools, one after the other; by default one per 4000 tasks, at least 2"),
    }
    for name, (default, text) in counts.items():
        shown = "" if default is None else f" (default {default})"
        parser.add_argument(
            f"--{name}", type=_count, metavar="N", default=default, help=text + shown
        )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the verdict to a file")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the ledgers there")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number, not {text!r}")
    return int(text)


def _progress(text: str) -> None:
    """Show how far it is, on one line, where somebody watches."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
