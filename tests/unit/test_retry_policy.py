"""Which failures let a task run again, how often, and after what pause."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workpool import RetryPolicy, TaskTimeout, WorkerCrashed
from workpool._retry_policy import checked_retries


@given(st.integers(0, 20), st.integers(1, 40))
def test_the_limit_is_kept(limit: int, attempts: int) -> None:
    """A task runs once and then `limit` times again at most."""
    assert RetryPolicy(limit).allows(attempts, ValueError()) == (attempts <= limit)


@pytest.mark.parametrize(
    ("on", "error", "allowed"),
    [
        (None, SystemExit(), True),
        (ValueError, UnicodeError(), True),
        (ValueError, KeyError(), False),
        ((OSError, KeyError), KeyError(), True),
        ((), KeyError(), False),
        (WorkerCrashed, WorkerCrashed("gone"), True),
        (TimeoutError, TaskTimeout("late"), True),
        (lambda error: "again" in str(error), ValueError("try again"), True),
        (lambda error: "again" in str(error), ValueError("never"), False),
    ],
)
def test_only_what_it_names_is_run_again(on: Any, error: BaseException, allowed: bool) -> None:
    """A class stands for its subclasses, a tuple for each of its classes, a function decides."""
    assert RetryPolicy(1, on=on).allows(1, error) is allowed


def test_pauses_grow_up_to_the_longest() -> None:
    """Each pause is `factor` times the one before."""
    policy = RetryPolicy(9, backoff=0.5, factor=3.0, longest_backoff=10.0)
    assert [policy.pause(attempts, 0.7) for attempts in (1, 2, 3, 4, 2000)] == [
        0.5,
        1.5,
        4.5,
        10,
        10,
    ]
    assert RetryPolicy(9).pause(3, 0.5) == 0


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 100))
def test_chance_shortens_a_pause_by_at_most_its_part(
    jitter: float, chance: float, attempts: int
) -> None:
    """With jitter 0 the pause is the same for all, with 1 it may be none."""
    whole = RetryPolicy(9, backoff=1.0).pause(attempts, chance)
    some = RetryPolicy(9, backoff=1.0, jitter=jitter).pause(attempts, chance)
    assert whole * (1 - jitter) <= some <= whole


@pytest.mark.parametrize(
    ("wrong", "kind", "named"),
    [
        ({"limit": -1}, ValueError, "limit"),
        ({"limit": 1.5}, TypeError, "limit"),
        ({"backoff": -0.1}, ValueError, "backoff"),
        ({"backoff": math.nan}, ValueError, "backoff"),
        ({"backoff": 10**400}, ValueError, "backoff"),
        ({"backoff": "1"}, TypeError, "backoff"),
        ({"factor": 0.5}, ValueError, "factor"),
        ({"longest_backoff": -1}, ValueError, "longest_backoff"),
        ({"jitter": 1.5}, ValueError, "jitter"),
        ({"on": int}, TypeError, "on must"),
        ({"on": (ValueError, "KeyError")}, TypeError, "on must"),
        ({"on": "ValueError"}, TypeError, "on must"),
    ],
)
def test_a_wrong_argument_is_named(
    wrong: dict[str, Any], kind: type[Exception], named: str
) -> None:
    """The error is of the usual type and says which argument it is about."""
    with pytest.raises(kind, match=named):
        RetryPolicy(**{"limit": 1, **wrong})


def test_a_number_is_a_policy() -> None:
    """`retries=3` is a policy with that limit, for every failure, without a pause."""
    assert checked_retries(3) == RetryPolicy(3)
    policy = RetryPolicy(1, on=OSError)
    assert checked_retries(policy) is policy
