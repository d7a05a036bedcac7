"""What a measurement yields, and what a whole run does."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import nan

Figures = dict[str, float]
"""Named numbers of one measurement of one contestant, in the unit the name ends with."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a contestant has no figures: a word for its cell and a sentence for the notes."""

    word: str
    reason: str


@dataclass(slots=True)
class Results:
    """Figures of all rounds by measure and contestant; a list's index is the round."""

    rounds: dict[tuple[str, str], list[Figures]] = field(default_factory=dict)
    failures: dict[tuple[str, str], Failure] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def add(self, measure: str, contestant: str, figures: Figures) -> None:
        """Append the figures of one round."""
        self.rounds.setdefault((measure, contestant), []).append(figures)

    def values(self, measure: str, contestant: str, name: str) -> list[float]:
        """Return one named figure of every round; none where nothing was measured."""
        return [figures[name] for figures in self.rounds.get((measure, contestant), [])]

    def median(self, measure: str, contestant: str, name: str) -> float:
        """Return the median of one figure over the rounds; NaN where nothing was measured."""
        return median(self.values(measure, contestant, name))

    def ratio(self, measure: str, contestant: str, name: str, baseline: str) -> float:
        """Return the median of the ratios to a baseline, paired round by round.

        Both figures of a pair were measured within seconds of each other, so what slows the
        machine for a while slows both and cancels out; the ratio of two medians would not.
        """
        own = self.values(measure, contestant, name)
        theirs = self.values(measure, baseline, name)
        return median(a / b for a, b in zip(own, theirs, strict=False))


def median(values: Iterable[float]) -> float:
    """Return the median, NaN of nothing."""
    found = list(values)
    return statistics.median(found) if found else nan


def percentile(values: list[float], percent: float) -> float:
    """Return the value that `percent` of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    rank = round(percent / 100 * (len(ordered) - 1))
    return ordered[rank]
