"""The verdict of a whole run, added up and printed. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.chaos import ledger
from benchmarks.chaos.evidence import Evidence
from benchmarks.chaos.plan import Fire
from benchmarks.chaos.reading import lives
from benchmarks.chaos.verdict import RULES, Violation

_SHOWN = 5
"""Violations of each rule that are printed; the file has all."""


@dataclass
class Tally:
    """What all rounds came to."""

    asked: Fire
    tasks: int = 0
    starts: int = 0
    workers: int = 0
    killed_at_work: int = 0
    """Workers that something lethal happened to while a task was running in them."""
    outcomes: Counter[str] = field(default_factory=Counter)
    fire: Counter[str] = field(default_factory=Counter)
    """How often which accident happened: a signal from outside, or a task's own "own exit 0"."""
    violations: list[tuple[int, Violation]] = field(default_factory=list)
    """With the number of the round."""
    seconds: float = 0.0

    def count(self, seen: Evidence, violations: Sequence[Violation]) -> None:
        """Add a round."""
        self.tasks += len(seen.added)
        self.outcomes.update(each[0].kind for each in seen.outcomes.values())
        self.violations += ((seen.plan.number, violation) for violation in violations)
        for life in lives(seen.lines).values():
            self.starts += len(life.attempts)
            self.workers += life.born
            self.killed_at_work += any(life.was_at_work(time) for _, time in life.causes)
        for line in seen.lines:
            if line.kind in (ledger.HIT, ledger.MISS) and not line.task:
                # What follows a SIGSTOP is not counted again.
                self.fire[line.detail] += 1 if line.kind == ledger.HIT else -1
            elif line.kind == ledger.DEATH:
                self.fire[f"own {line.detail}"] += 1

    def accidents(self) -> Iterator[tuple[str, int, int]]:
        """Yield each accident: its name, how often it happened, how often it was asked for."""
        fire, asked = self.fire, self.asked
        yield "SIGKILL", fire["SIGKILL"], asked.kills
        yield "SIGSEGV", fire["SIGSEGV"] + fire["own SIGSEGV"], asked.segv
        yield "os._exit(0)", fire["own exit 0"], asked.exit
        yield "SIGTERM", fire["SIGTERM"] + fire["own SIGTERM"], asked.term
        yield "SIGSTOP", fire["SIGSTOP"], asked.stop

    @property
    def is_clean(self) -> bool:
        """Whether nothing was wrong, and the fire was as heavy as asked for."""
        return not self.violations and all(was >= want for _, was, want in self.accidents())


def render(tally: Tally, command: str) -> str:
    """Return the verdict as text, with the first violations of each kind."""
    counts = Counter(violation.rule for _, violation in tally.violations)
    rows = [
        ("tasks", f"{tally.tasks:,}", ""),
        ("starts of tasks", f"{tally.starts:,}", ""),
        ("workers", f"{tally.workers:,}", ""),
        ("workers killed at work", f"{tally.killed_at_work:,}", ""),
        *((f"ended: {kind}", f"{count:,}", "") for kind, count in sorted(tally.outcomes.items())),
        *((name, f"{was:,}", _mark(was >= want)) for name, was, want in tally.accidents()),
        *((rule, f"{counts[rule]:,}", _mark(not counts[rule])) for rule in RULES),
    ]
    lines = [f"{name:<26}{number:>10}  {mark}".rstrip() for name, number, mark in rows]
    lines.append(f"{tally.seconds:.1f} s: {command}")
    return "\n".join([*lines, *_examples(tally)])


def as_data(tally: Tally, command: str) -> dict[str, Any]:
    """Return everything as data for JSON."""
    counts = Counter(violation.rule for _, violation in tally.violations)
    return {
        "command": command,
        "seconds": tally.seconds,
        "clean": tally.is_clean,
        "asked": asdict(tally.asked),
        "tasks": tally.tasks,
        "starts": tally.starts,
        "workers": tally.workers,
        "killed at work": tally.killed_at_work,
        "outcomes": dict(tally.outcomes),
        "accidents": {name: was for name, was, _ in tally.accidents()},
        "verdict": {rule: counts[rule] for rule in RULES},
        "violations": [
            {"round": number, "rule": violation.rule, "text": violation.text}
            for number, violation in tally.violations
        ],
    }


def _examples(tally: Tally) -> Iterator[str]:
    shown: Counter[str] = Counter()
    for number, violation in tally.violations:
        shown[violation.rule] += 1
        if shown[violation.rule] <= _SHOWN:
            yield f"\nround {number}: {violation.rule}: {violation.text}"


def _mark(is_well: bool) -> str:
    return "ok" if is_well else "FAILED"
