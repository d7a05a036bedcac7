"""Verify the models of `models/` and show that their mutants are caught: see tools/check_models."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

MODELS = Path(__file__).parents[1] / "models"

NEEDED = {"spin": "spin", "gcc": "gcc"}
"""Programs, and the Debian packages they come with."""

PAN_SECONDS = 600
PAN_MEGABYTES = 4096
COMPILE = ["gcc", "-w", "-DSAFETY", "-DNOREDUCE", f"-DMEMLIM={PAN_MEGABYTES}", "-o", "pan", "pan.c"]
"""No partial order reduction: it saves little here, and nothing need be said about what it assumes."""

SEARCH = ["./pan", "-m10000", "-w22"]  # most steps deep; a table of 2^22 places, which grows

ENDS = "Ends"
"""The property that spin checks by itself: whoever waits for ever waits where that is right."""


@dataclass(frozen=True)
class Run:
    """A model to verify; of a mutant, with what is changed in it and the property that must fail."""

    name: str
    model: str
    defines: tuple[str, ...]
    edits: tuple[tuple[str, str], ...] = ()
    property: str = ""
    thorough: bool = False


@dataclass(frozen=True)
class Outcome:
    """What spin found: the property that is violated (empty if none), or why it could not tell."""

    violated: str
    states: int
    seconds: float
    trouble: str = ""
    trace: str = ""

    def is_good(self, run: Run) -> bool:
        """Whether the model holds, or the mutant is caught by the property it names."""
        return not self.trouble and self.violated == run.property


def runs() -> Iterator[Run]:
    """Read models.toml: the variants of the models, then the mutants."""
    data = tomllib.loads((MODELS / "models.toml").read_text())
    variants = {}
    for entry in data["variant"]:
        thorough = entry.get("thorough", False)
        run = Run(entry["name"], entry["model"], tuple(entry["defines"]), thorough=thorough)
        variants[run.name] = run
        yield run
    for entry in data["mutant"]:
        variant = variants[entry["variant"]]
        edits = tuple((old, new) for old, new in entry["edits"])
        yield Run(entry["name"], variant.model, variant.defines, edits, entry["property"])


def source(run: Run) -> str:
    """Return the text of the model, mutated. Raises `ValueError` if a mutation does not fit."""
    text = (MODELS / run.model).read_text()
    for old, new in run.edits:
        if text.count(old) != 1:
            raise ValueError(f"mutant {run.name}: occurs {text.count(old)} times: {old!r}")
        text = text.replace(old, new)
    return text


def verify(run: Run) -> Outcome:
    """Let spin search every state of a model, or until a property is violated."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="workpool-models.") as scratch:
        folder = Path(scratch)
        (folder / "model.pml").write_text(source(run))
        try:
            _call(folder, ["spin", *_options(run), "-a", "model.pml"])
            # A mutant is found out long before better code would have paid for itself.
            _call(folder, [*COMPILE, "-O0" if run.edits else "-O1"])
            said = _call(folder, SEARCH)
            violated, trace = _violation(folder, run) if "errors: 0" not in said else ("", "")
        except subprocess.CalledProcessError as error:
            return Outcome("", 0, time.monotonic() - started, f"{error}\n{error.stdout}")
        except subprocess.TimeoutExpired as error:
            return Outcome("", 0, time.monotonic() - started, str(error))
    stored = re.search(r"(\d+) states, stored", said)
    states = int(stored[1]) if stored else 0
    trouble = "" if violated or _is_complete(said) else said
    return Outcome(violated, states, time.monotonic() - started, trouble, trace)


def _options(run: Run) -> list[str]:
    return [f"-D{define}" for define in run.defines]


def _call(folder: Path, command: list[str]) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PAN_SECONDS,
        check=command is not SEARCH,
    )
    return done.stdout


def _is_complete(said: str) -> bool:
    """Whether the search has found nothing wrong and left nothing out."""
    cut_short = "Search not completed" in said or "max search depth too small" in said
    return "errors: 0" in said and not cut_short


def _violation(folder: Path, run: Run) -> tuple[str, str]:
    """Return the property that the search has found violated, and how it comes to that."""
    if not (folder / "model.pml.trail").exists():
        return "", ""
    trace = _call(folder, ["spin", *_options(run), "-t", "-p", "model.pml"])
    failed = re.search(r"model\.pml:(\d+), Error: assertion violated", trace)
    if failed is None:
        return ENDS, trace
    line = (folder / "model.pml").read_text().splitlines()[int(failed[1]) - 1]
    named = re.search(r"/\* (\w+) \*/", line)
    return (named[1] if named else line.strip()), trace


def describe(run: Run, outcome: Outcome) -> str:
    """Return the line about a run, and if it went wrong why."""
    figures = f"{outcome.states:>11,} states {outcome.seconds:6.1f} s"
    if run.edits:
        word = "caught" if outcome.is_good(run) else "NOT CAUGHT"
    else:
        word = "holds" if outcome.is_good(run) else "FAILS"
    line = f"{word:<10} {run.name:<30} {outcome.violated:<24} {figures}"
    if outcome.is_good(run):
        return line
    wanted = f"\n    expected: {run.property or 'no violation'}"
    return line + wanted + (f"\n{outcome.trouble}" if outcome.trouble else "")


def chosen(names: list[str], *, thorough: bool) -> list[Run]:
    """Return the runs of these names, or all; raise `SystemExit` for an unknown name."""
    every = list(runs())
    unknown = set(names) - {run.name for run in every}
    if unknown:
        raise SystemExit(f"tools/check_models: models.toml has no {', '.join(sorted(unknown))}")
    if names:
        return [run for run in every if run.name in names]
    return [run for run in every if thorough or not run.thorough]


def missing() -> list[str]:
    """Return the Debian packages that are missing."""
    return [package for program, package in NEEDED.items() if shutil.which(program) is None]


def main() -> int:
    """Verify what the command line names; print a line for each; return the exit status."""
    parser = argparse.ArgumentParser(prog="tools/check_models", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="variants and mutants; all if none"
    )
    parser.add_argument("--thorough", action="store_true", help="larger variants as well")
    parser.add_argument(
        "--trace", action="store_true", help="print how the properties are violated"
    )
    options = parser.parse_args()
    if missing():
        packages = " ".join(missing())
        print(f"tools/check_models needs {packages}. On Debian: apt-get install {packages}")
        return 2
    todo = chosen(options.names, thorough=options.thorough)
    good = 0
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        for run, outcome in zip(todo, threads.map(verify, todo), strict=True):
            print(describe(run, outcome), flush=True)
            if options.trace:
                print(outcome.trace)
            good += outcome.is_good(run)
    print(f"{good} of {len(todo)} as they should be")
    return 0 if good == len(todo) else 1


if __name__ == "__main__":
    sys.exit(main())
