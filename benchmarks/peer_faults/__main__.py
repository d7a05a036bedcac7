"""`python -m benchmarks.peer_faults`: bring every fault about in every pool, print the table."""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.peer_faults import cells
from benchmarks.peer_faults.faults import FAULTS
from benchmarks.peer_faults.runner import end_all, run
from benchmarks.peer_faults.subjects import PEERS

Findings = dict[str, dict[str, list[dict[str, Any]]]]
"""What was observed in each round, by fault and peer."""
Trial = tuple[int, str, str]
"""Number of the round, fault and peer."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Experiment and print the table; what the peers do wrong is no failure of this command."""
    options = _parser().parse_args(arguments)
    # Workers that compile their modules anew at each start would be slow to start.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    peers, faults = options.only or list(PEERS), options.faults or list(FAULTS)
    found: Findings = {fault: {peer: [] for peer in peers} for fault in faults}
    trials = list(product(range(options.rounds), faults, peers))
    for (number, fault, peer), observed in _run_all(trials, options.jobs):
        found[fault][peer].append(observed)
        words = cells.text(FAULTS[fault].cell, observed)
        print(f"{number + 1}: {fault}, {peer}: {words}", file=sys.stderr, flush=True)
        if options.json:
            options.json.write_text(_dump(peers, found))
    print("; ".join([*machine.describe().values(), f"rounds: {options.rounds}"]) + "\n")
    print(table(peers, found))
    return 0


def _run_all(trials: Sequence[Trial], jobs: int) -> Iterator[tuple[Trial, dict[str, Any]]]:
    """Yield trials in order with what was observed; end all when they are not wanted any more."""
    with ThreadPoolExecutor(jobs) as threads:
        futures = [threads.submit(run, peer, fault) for _, fault, peer in trials]
        try:
            for trial, future in zip(trials, futures, strict=True):
                yield trial, future.result()
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            end_all()
            raise


def table(peers: Sequence[str], found: Findings) -> str:
    """Return the Markdown table: a row for each fault, a column for each peer."""
    lines = [["fault", *map(_title, peers)], ["---"] * (1 + len(peers))]
    for name, observations in found.items():
        fault = FAULTS[name]
        row = [cells.summary(fault.cell, observations[peer]) for peer in peers]
        lines.append([fault.title, *(cell.replace("|", "\\|") for cell in row)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _title(peer: str) -> str:
    """Return a peer's title with the version that was examined."""
    entry = PEERS[peer]
    try:
        release = version(entry.distribution) if entry.distribution else ""
    except PackageNotFoundError:  # imported from a source tree that is not installed, or absent
        release = ""
    return f"{entry.title} {release}".strip()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peer_faults",
        description="Find out what workpool and other process pools do under each fault.",
        epilog=f"Peers: {', '.join(PEERS)}. Faults: {', '.join(FAULTS)}.",
    )
    parser.add_argument("--only", metavar="PEER,...", type=_names_of(PEERS), help="these columns")
    parser.add_argument("--faults", metavar="FAULT,...", type=_names_of(FAULTS), help="these rows")
    parser.add_argument("--rounds", metavar="N", type=int, default=1, help="do all N times")
    parser.add_argument("--jobs", metavar="N", type=int, default=1, help="trials side by side")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all that was observed")
    return parser


def _names_of(known: "dict[str, Any]") -> "type[list[str]]":
    """Return the parser of an option's value: names of these, separated by commas."""

    class Names(list[str]):
        def __init__(self, text: str) -> None:
            super().__init__(name.strip() for name in text.split(",") if name.strip())
            unknown = [name for name in self if name not in known]
            if unknown or not self:
                raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown) or '(none)'}")

    return Names


def _dump(peers: Sequence[str], found: Findings) -> str:
    """Return everything as JSON."""
    versions = {peer: _title(peer) for peer in peers}
    data = {"machine": machine.describe(), "peers": versions, "found": found}
    return json.dumps(data, indent=2) + "\n"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\ninterrupted; nothing was left running")
