"""Short rounds of two contestants in turns, and how many times as fast the first one was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from time import perf_counter

from benchmarks import tasks
from benchmarks.contestants import ENTRIES
from benchmarks.contestants.base import Contestant
from benchmarks.figures import percentile
from benchmarks.guard.clocks import MachineClock, spent
from benchmarks.guard.figures import TAKERS, bare_interpreter, first_result
from benchmarks.guard.pairs import FIRST, PAIRS, Pair
from benchmarks.measures.warmth import WARM_SECONDS
from benchmarks.procfs import family

FEWEST = 3
MOST = 50
"""Rounds, within the time that there is."""
PERCENTILE = 10
"""What is looked at of all rounds: the fast ones. The others were disturbed, and nothing but a
change of the code makes the fast ones slow. The rounds are short, so that some are not disturbed."""


class Side:
    """One of two contestants: what it is asked to do, and what that took."""

    def __init__(self, take: Callable[[], list[float]], count: int, workers: Sequence[int]) -> None:
        self._take, self._count, self._workers = take, count, workers
        self._wall: list[float] = []
        self._processor: list[float] = []

    def run(self) -> None:
        """Take the figure once."""
        before = spent(self._workers)
        self._wall += self._take()
        self._processor.append(spent(self._workers) - before)

    def seconds(self) -> tuple[float, float]:
        """Return wall and processor time of one task, when nothing disturbed it."""
        # One call that yields a time for each task has as many of them as tasks.
        tasks_per_wall = self._count * len(self._processor) / len(self._wall)
        wall = percentile(self._wall, PERCENTILE) / tasks_per_wall
        return wall, percentile(self._processor, PERCENTILE) / self._count


Ratios = dict[str, dict[str, float]]
"""By figure: theirs/ours in wall time and in processor time."""


def measure(pair_name: str, seconds: float) -> tuple[Ratios, float]:
    """Return the ratios, and which part of the machine others used meanwhile."""
    pair = PAIRS[pair_name]
    with ExitStack() as stack:
        sides = _starts(pair) if pair.figures == (FIRST,) else _pools(pair, stack)
        before = MachineClock.read()
        _rounds(list(sides.values()), seconds)
        others = MachineClock.read().others_since(before)
        return {how: _ratios(*both) for how, both in sides.items()}, others


def _starts(pair: Pair) -> dict[str, tuple[Side, Side]]:
    ours = Side(lambda: first_result(pair.ours), 1, [])
    return {FIRST.how: (ours, Side(bare_interpreter, 1, []))}


def _pools(pair: Pair, stack: ExitStack) -> dict[str, tuple[Side, Side]]:
    # The other first: it may fork, and what it forks should not have our pool in it.
    theirs = _opened(pair.theirs, pair, stack)
    their_workers = family()
    ours = _opened(pair.ours, pair, stack)
    our_workers = sorted(set(family()) - set(their_workers))

    def side(how: str, contestant: Contestant, count: int, workers: Sequence[int]) -> Side:
        return Side(lambda: TAKERS[how](contestant, count), count, workers)

    return {
        figure.how: (
            side(figure.how, ours, figure.ours, our_workers),
            side(figure.how, theirs, figure.theirs, their_workers),
        )
        for figure in pair.figures
    }


def _opened(name: str, pair: Pair, stack: ExitStack) -> Contestant:
    """Open a contestant, to be closed with the stack, and warm up its workers."""
    contestant = ENTRIES[name].make()
    contestant.open(getattr(tasks, pair.function), 2)
    stack.callback(contestant.close)
    figure = pair.figures[0]
    end = perf_counter() + WARM_SECONDS
    while perf_counter() < end:
        TAKERS[figure.how](contestant, figure.theirs)
    return contestant


def _rounds(pairs: Sequence[tuple[Side, Side]], seconds: float) -> None:
    """Take all figures again and again; ours is the first in one round, the second in the next."""
    end = perf_counter() + seconds
    for number in range(MOST):
        for both in pairs:
            for side in reversed(both) if number % 2 else both:
                side.run()
        if number + 1 >= FEWEST and perf_counter() > end:
            return


def _ratios(ours: Side, theirs: Side) -> dict[str, float]:
    own, other = ours.seconds(), theirs.seconds()
    return {"wall": other[0] / own[0], "processor": other[1] / own[1]}
