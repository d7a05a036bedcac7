"""`python -m benchmarks.start_costs`: measure what starts cost and print it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.start_costs import crowds, imports, methods, parts

SIZES = (1, 2, 4, 8)
_MOST_MODULES = 25


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print, part by part; write the figures to a file if one is named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start_costs", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="of each measure, alternating")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    options = parser.parse_args(arguments)
    rounds = options.rounds
    print(f"Starts: the least of all rounds. {machine.describe()}")
    figures: dict[str, Any] = {"parts": parts.measure(rounds)}
    _print(_parts(figures["parts"]))
    figures["imports"] = imports.measure(rounds)
    _print(_imports(figures["imports"]))
    figures["crowds"] = crowds.measure(SIZES, max(3, rounds // 3))
    _print(_crowds(figures["crowds"]))
    by_method = methods.measure(max(3, rounds // 3))
    _print(_methods(by_method))
    figures["methods"] = {" ".join(key): start for key, start in by_method.items()}
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))
    return 0


def _print(lines: Iterator[str]) -> None:
    print("\n".join(lines), flush=True)


def _parts(figures: parts.Figures) -> Iterator[str]:
    yield "\nThe first result of one worker (ms):"
    yield from (f"  {cost:8.2f}  {part}" for part, cost in figures.items())


def _imports(figures: dict[str, int]) -> Iterator[str]:
    costs = sorted(figures.items(), key=lambda item: -item[1])
    yield f"\nImports of a worker: {len(costs)} modules, {sum(figures.values())} us; the dearest (us):"
    yield from (f"  {cost:8d}  {name}" for name, cost in costs[:_MOST_MODULES])


def _crowds(figures: dict[int, crowds.Crowd]) -> Iterator[str]:
    yield "\nWorkers started at once (ms):"
    yield "       entry     ready  processor: pool   workers"
    for size, crowd in figures.items():
        entry, ready, ours, theirs = crowd
        yield f"  {size:3d}{entry:7.1f}{ready:10.1f}{ours:17.1f}{theirs:10.1f}"


def _methods(figures: dict[tuple[str, str], methods.Start]) -> Iterator[str]:
    yield "\nWays to start, by what the entrypoint imports (ms; MB of four workers and their template):"
    yield "                    first  four ready  replacement    memory"
    for (name, method), start in figures.items():
        first, crowd, replacement, memory = start
        yield f"  {name:6} {method:8}{first:9.1f}{crowd:12.1f}{replacement:13.1f}{memory:10.1f}"


if __name__ == "__main__":
    raise SystemExit(main())
