"""When a result is handed out before the source is asked again."""

from __future__ import annotations

from workpool.sync._pace import SourcePace


class Results:
    """Whether there is one now, or would be after a wait; notes the waits."""

    def __init__(self, *, now: bool = False, later: bool = False) -> None:
        self.now = now
        self.later = later
        self.waits: list[float] = []

    def __call__(self, seconds: float) -> bool:
        self.waits.append(seconds)
        return self.now or (self.later and seconds > 0)


def test_a_quick_source_is_asked_twice_per_result() -> None:
    """Nothing is waited for, and no result looked for before that."""
    pace, results = SourcePace(), Results(now=True)
    pace.note(0.001)
    assert [pace.lets_go_first(read, results) for read in range(4)] == [False, False, True, True]
    assert results.waits == [0, 0]


def test_a_slow_source_comes_after_the_results() -> None:
    """One that is there goes first; otherwise it has a small part of the source's time to come."""
    pace = SourcePace()
    pace.note(0.1)
    assert pace.lets_go_first(0, Results(now=True))
    assert pace.lets_go_first(0, Results(later=True))
    nothing = Results()
    assert not pace.lets_go_first(5, nothing)
    assert 0 < nothing.waits[0] <= 0.01
    pace.note(1000)
    assert not pace.lets_go_first(0, nothing)
    assert nothing.waits[1] <= 0.1


def test_a_pause_is_forgotten_after_some_reads() -> None:
    """All that is waited after one pause is a small part of it."""
    pace, results = SourcePace(), Results()
    pace.note(2)
    for _ in range(100):
        pace.lets_go_first(0, results)
        pace.note(0)
    assert sum(results.waits) < 0.5
    assert not pace.lets_go_first(0, Results(now=True))
