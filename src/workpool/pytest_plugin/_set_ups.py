"""What it takes to set up the fixtures that neighbours share, told from what their tests' set-ups took. Pure.

A report tells what a test's set-up took, not whom the fixtures were for. But what a test sets up for itself
alone its neighbours set up as well: what goes beyond what is usual among them was shared. So it is
no part of the test, which would look as if it took long wherever it is run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import median_low
from typing import NamedTuple

NOISE_SECONDS = 0.005
"""Set-ups that differ by less are the same."""


class _SetUp(NamedTuple):
    name: str
    """The test's."""
    seconds: float
    visit: int
    """Which of the visits of workers to its home that was."""
    is_bare: bool
    """Whether nothing at all was up before."""
    is_first: bool
    """Whether the worker came from elsewhere."""
    own: float
    """What of it was taken to be the test's own when it ended."""


class _Home:
    """The tests of a module, with the same parameters of broader fixtures, as far as they have ended."""

    __slots__ = ("bare", "least", "longest", "set_ups", "visits")

    def __init__(self) -> None:
        self.set_ups: list[_SetUp] = []
        self.visits: dict[int, int] = {}
        """The last visit of each worker."""
        self.longest = 0.0
        self.least: float | None = None
        """Of those before which a neighbour had run; None if none has ended yet."""
        self.bare: float | None = None
        """What took place where nothing was up before; None if nothing did."""

    @property
    def shared(self) -> float:
        """What is shared, by what is known of it: all, until a test has found the fixtures set up."""
        return self.longest - (self.least or 0.0)

    def typical(self) -> float:
        """Return what a test sets up for itself, mostly."""
        settled = [each.seconds for each in self.set_ups if not each.is_first]
        return median_low(settled) if settled else 0.0


class SetUps:
    """Seconds by home."""

    def __init__(self, remembered: Mapping[str, float]) -> None:
        self._remembered = remembered
        self._homes: dict[str, _Home] = {}

    def note(self, home: str, name: str, seconds: float, worker: int, came: str) -> float:
        """Note what a test's set-up took in a worker; return what of it was the test's own, as far as is known.

        `came` tells where the worker came from: the home it was in, empty if nothing was up in it.
        """
        known = self._homes.get(home)
        if known is None:
            known = self._homes[home] = _Home()
        known.longest = max(known.longest, seconds)
        is_first, own = came != home, seconds
        if is_first:
            known.visits[worker] = max(known.visits.values(), default=0) + 1
            own = min(seconds, known.least or 0.0)
        elif known.least is None or seconds < known.least:
            known.least = seconds
        if not came:
            known.bare = seconds
        visit = known.visits.get(worker, 0)
        known.set_ups.append(_SetUp(name, seconds, visit, not came, is_first, own))
        return own

    def of(self, home: str) -> float:
        """Return what a home's fixtures take: if unknown, what others take."""
        known = self.known(home)
        if known is not None:
            return known
        others = [each.shared for each in self._homes.values()]
        return sum(others) / len(others) if others else 0.0

    def known(self, home: str) -> float | None:
        """Return what a home's fixtures take, or took in an earlier run; None if that is unknown."""
        known = self._homes.get(home)
        if known is None or known.bare is not None:  # then the session's may have been among them
            remembered = self._remembered.get(home)
            if remembered is not None:
                return remembered
        return None if known is None else known.shared

    def longest(self) -> float:
        """Return the seconds of the longest set-up so far."""
        return max((each.shared for each in self._homes.values()), default=0.0)

    def broad(self) -> float:
        """Return the seconds it takes to set up what is shared beyond homes, by what is known of it."""
        homes = self._homes.values()
        bare = min((each.bare for each in homes if each.bare is not None), default=0.0)
        within = min((each.shared for each in homes if each.bare is None), default=0.0)
        return max(bare - within, 0.0)

    def corrections(self) -> Iterator[tuple[str, float]]:
        """Yield what has to be added to tests' own seconds, now that all is known of their neighbours."""
        for home in self._homes.values():
            typical = home.typical()
            for each in home.set_ups:
                yield each.name, _own(each, typical) - each.own

    def to_remember(self) -> dict[str, float]:
        """Return what the homes' fixtures have taken, those of which nothing new is known included."""
        broad = self.broad() if any(each.bare is None for each in self._homes.values()) else 0.0
        remembered = dict(self._remembered)
        for name, home in self._homes.items():
            typical, visits = home.typical(), dict[int, float]()
            for each in home.set_ups:
                beyond = each.seconds - _own(each, typical) - (broad if each.is_bare else 0.0)
                visits[each.visit] = visits.get(each.visit, 0.0) + max(beyond, 0.0)
            seconds = max(visits.values())
            remembered.pop(name, None)
            if seconds > NOISE_SECONDS:
                remembered[name] = seconds
        return remembered


def _own(set_up: _SetUp, typical: float) -> float:
    beyond = set_up.seconds - typical
    return typical if beyond > NOISE_SECONDS else set_up.seconds
