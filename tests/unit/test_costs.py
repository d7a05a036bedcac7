"""What tasks are expected to cost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workpool._costs import FIRST_GUESS, OVERHEAD, CostModel

SECONDS = st.floats(0, 1e4)


def test_nothing_is_known_at_first() -> None:
    """Without results or hints, the first guess counts."""
    assert CostModel().estimate(None, None) == FIRST_GUESS + OVERHEAD
    assert CostModel().estimate("key", None) == FIRST_GUESS + OVERHEAD


def test_the_user_knows_better_than_the_mean_and_experience_better_than_the_user() -> None:
    """A key's past comes first, then `inherent_cost`, then the mean of all."""
    costs = CostModel()
    costs.observe(2.0)
    assert costs.estimate("key", 5.0) == 5.0 + OVERHEAD
    costs.observe_key("key", 0.5)
    assert costs.estimate("key", 5.0) == 0.5 + OVERHEAD
    assert costs.estimate("other", None) == 2.0 + OVERHEAD


def test_the_first_result_replaces_the_guess() -> None:
    """One result says more than the guess, however far off it was."""
    costs = CostModel()
    costs.observe(7.0)
    assert costs.mean == 7.0


@given(st.lists(st.tuples(SECONDS, st.integers(1, 500)), min_size=1))
def test_the_mean_stays_within_what_was_seen(results: list[tuple[float, int]]) -> None:
    """Whatever the order and the counts, the estimate lies between the least and the most."""
    costs = CostModel()
    for seconds, count in results:
        costs.observe(seconds, count)
    seen = [seconds for seconds, _ in results]
    assert min(seen) * 0.999 - 1e-9 <= costs.mean <= max(seen) * 1.001 + 1e-9


@given(st.floats(0, 10), st.floats(0.001, 10))
def test_estimates_follow_a_change(before: float, after: float) -> None:
    """A few dozen results after a change, the old cost is forgotten: in general and per key."""
    costs = CostModel()
    for seconds in [before] * 5 + [after] * 60:
        costs.observe(seconds)
        costs.observe_key("key", seconds)
    for estimate in (costs.estimate(None, None), costs.estimate("key", None)):
        assert abs(estimate - OVERHEAD - after) < 1e-3


def test_keys_do_not_pile_up() -> None:
    """Of endless keys only the latest are remembered; one that is used stays."""
    costs = CostModel()
    for number in range(25_000):
        costs.observe_key(number, 1.0)
        costs.observe_key("used", 2.0)
    assert len(costs._by_key) <= 10_000
    assert costs.estimate("used", None) == 2.0 + OVERHEAD
    assert costs.estimate(24_999, None) == 1.0 + OVERHEAD
    assert costs.estimate(0, None) == FIRST_GUESS + OVERHEAD
