"""`python -m benchmarks.syscall_sweep`: disturb a worker at every system call it makes."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence

from benchmarks.syscall_sweep.sweep import count_calls, disturb
from benchmarks.syscall_sweep.tracing import Disturbance


def main(arguments: Sequence[str] | None = None) -> int:
    """Sweep, print a table and a verdict; return 1 if anything was not as it must be."""
    options = _parser().parse_args(arguments)
    what = f"error={options.error}" if options.error else "signal=KILL"
    found = []
    for kind in ("sync", "tiny", "async") if options.kind == "all" else (options.kind,):
        found += _sweep(kind, what, options.call, options.step)
    for violation in found:
        print(f"VIOLATION: {violation}")
    print("verdict:", f"{len(found)} runs went wrong" if found else "no run went wrong")
    return 1 if found else 0


def _sweep(kind: str, what: str, only: str | None, step: int) -> list[str]:
    """Disturb a worker of one kind at each call; return what went wrong."""
    started = time.monotonic()
    calls = {name: count for name, count in count_calls(kind).items() if only in (None, name)}
    print(f"\n{kind} entrypoint, {what}: {sum(calls.values())} calls of {len(calls)} kinds")
    print(f"{'call':20} {'made':>6} {'runs':>6} {'reached':>8} {'wrong':>6}")
    found, totals = [], Counter[str]()
    for name, count in sorted(calls.items()):
        figures = Counter[str](made=count)
        for number in range(1, count + 1, step):
            disturbance = Disturbance(name, number, what)
            reached, violations = disturb(kind, disturbance)
            figures.update(runs=1, reached=reached, wrong=bool(violations))
            found += [f"{kind}, {disturbance}: {violation}" for violation in violations[:1]]
        totals.update(figures)
        print(_row(name, figures), flush=True)
    print(_row("all", totals), f"  {time.monotonic() - started:.0f} s")
    return found


def _row(name: str, figures: Counter[str]) -> str:
    made, runs, reached, wrong = (figures[key] for key in ("made", "runs", "reached", "wrong"))
    return f"{name:20} {made:6} {runs:6} {reached:8} {wrong:6}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.syscall_sweep",
        description="Kill a worker at every system call it makes, one run of a small workload for "
        "each; see that nothing hangs, is lost, is run twice or is left. Needs strace.",
    )
    parser.add_argument("--kind", choices=["sync", "tiny", "async", "all"], default="all")
    parser.add_argument("--error", metavar="ERRNO", help="let the call fail instead: ENOMEM, say")
    parser.add_argument("--call", metavar="NAME", help="this system call alone")
    parser.add_argument(
        "--step", type=int, default=1, metavar="N", help="every N-th time it is made only"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
