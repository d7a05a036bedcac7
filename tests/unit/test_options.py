"""The pool's options: wrong values are told at once, in one sentence that names the option."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workpool import RetryPolicy, _options

DEFAULTS: dict[str, Any] = {
    "max_workers": None,
    "min_workers": 0,
    "tasks_per_worker": 1,
    "worker_concurrency": None,
    "inherent_cost": None,
    "worker_cost": None,
    "timeout": None,
    "retries": 0,
    "max_tasks_per_worker": None,
    "max_memory_per_worker": None,
    "idle_timeout": None,
    "env": None,
    "worker_output": "inherit",
    "name": None,
}


def checked(**changes: Any) -> _options.PoolOptions:
    return _options.check_options(**{**DEFAULTS, **changes})


def test_the_defaults_are_the_documented_ones() -> None:
    """As many workers as usable CPUs, none kept, no limits, output inherited."""
    options = checked()
    assert options.max_workers == _options.usable_cpus() >= 1
    assert (options.min_workers, options.tasks_per_worker, options.retries) == (
        0,
        1,
        RetryPolicy(0),
    )
    assert options.worker_concurrency == _options.DEFAULT_CONCURRENCY
    assert (options.timeout, options.idle_timeout) == (None, None)
    assert (options.env, options.worker_output, options.name) == ({}, "inherit", "workpool")


@pytest.mark.parametrize(
    "changes",
    [
        {"max_workers": 1},
        {"max_workers": _options.MAX_WORKERS_LIMIT},
        {"max_workers": 3, "min_workers": 3},
        {"tasks_per_worker": 0.5},
        {"timeout": Fraction(1, 3)},
        {"timeout": math.inf},
        {"retries": RetryPolicy(7, on=OSError, backoff=0.5)},
        {"max_tasks_per_worker": 1, "max_memory_per_worker": 1},
        {"idle_timeout": 0.01},
        {"env": {"A": "", "B": "=x"}},
        {"worker_output": print},
        {"worker_output": "forward"},
        {"start_method": "template"},
        {"inherent_cost": len, "worker_cost": max},
    ],
)
def test_sensible_values_are_kept(changes: dict[str, Any]) -> None:
    """What is in range comes out as it was given."""
    options = checked(**changes)
    assert {name: getattr(options, name) for name in changes} == changes


@pytest.mark.parametrize(
    ("option", "value", "kind"),
    [
        ("max_workers", 0, ValueError),
        ("max_workers", -1, ValueError),
        ("max_workers", _options.MAX_WORKERS_LIMIT + 1, ValueError),
        ("max_workers", 2.0, TypeError),
        ("max_workers", "2", TypeError),
        ("max_workers", True, TypeError),
        ("min_workers", -1, ValueError),
        ("min_workers", 10**6, ValueError),
        ("min_workers", None, TypeError),
        ("tasks_per_worker", 0, ValueError),
        ("tasks_per_worker", math.nan, ValueError),
        ("worker_concurrency", 0, ValueError),
        ("worker_concurrency", 1.5, TypeError),
        ("inherent_cost", 3, TypeError),
        ("worker_cost", "cost", TypeError),
        ("timeout", 0, ValueError),
        ("timeout", -1.0, ValueError),
        ("timeout", math.nan, ValueError),
        ("timeout", "1", TypeError),
        ("retries", -1, ValueError),
        ("retries", 0.5, TypeError),
        ("max_tasks_per_worker", 0, ValueError),
        ("max_memory_per_worker", 0, ValueError),
        ("max_memory_per_worker", 1e9, TypeError),
        ("idle_timeout", 0, ValueError),
        ("worker_output", "nowhere", ValueError),
        ("worker_output", None, ValueError),
        ("start_method", "fork", ValueError),
        ("start_method", None, ValueError),
        ("env", {"A": 1}, TypeError),
        ("env", {1: "a"}, TypeError),
    ],
)
def test_a_wrong_value_is_named(option: str, value: Any, kind: type[Exception]) -> None:
    """The error is of the usual type and names the option and the value."""
    with pytest.raises(kind, match=option) as caught:
        checked(**{option: value})
    assert "\n" not in str(caught.value)
    assert isinstance(value, Mapping) or str(value) in str(caught.value)


@pytest.mark.parametrize("env", [{"A=B": "x"}, {"A": "x\0y"}, {"A\0": "x"}])
def test_an_environment_that_no_process_can_have_is_refused(env: dict[str, str]) -> None:
    """What the kernel would refuse at every worker's start is refused here, once."""
    with pytest.raises(ValueError, match="env"):
        checked(env=env)


def test_the_environment_is_copied() -> None:
    """Changing the mapping later changes nothing."""
    env = {"A": "1"}
    options = checked(env=env)
    env["A"] = "2"
    assert options.env == {"A": "1"}


@given(st.sampled_from(_options.AFFINITIES), st.none() | st.integers(0, 3))
def test_affinity_needs_a_worker(affinity: str, slot: int | None) -> None:
    """`strong` and `force` without `worker=` are refused; `light` may have one or not."""
    if affinity != "light" and slot is None:
        with pytest.raises(ValueError, match="worker="):
            _options.check_affinity(affinity, slot)
    else:
        _options.check_affinity(affinity, slot)


@pytest.mark.parametrize("affinity", ["", "Light", "weak", None, 1])
def test_an_unknown_affinity_is_refused(affinity: Any) -> None:
    """The error lists the ones there are."""
    with pytest.raises(ValueError, match="light, strong, force"):
        _options.check_affinity(affinity, 0)
