"""The pool's options and a task's settings, checked once, where they are given. Pure."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Literal

from workpool._checks import check_callable, check_count, check_seconds
from workpool._retry_policy import RetryPolicy, checked_retries
from workpool._serialization import brief

if TYPE_CHECKING:
    from workpool._forked_template import ForkedTemplate

MAX_WORKERS_LIMIT = 1024
MAX_CONCURRENCY = 10_000
DEFAULT_CONCURRENCY = 16
"""Tasks an async worker runs at a time unless told otherwise: enough to hide most waiting, few
enough that one worker does not take what another could run now."""

Affinity = Literal["light", "strong", "force"]
LIGHT: Affinity = "light"
STRONG: Affinity = "strong"
FORCE: Affinity = "force"
AFFINITIES = (LIGHT, STRONG, FORCE)

MOST_NAME_CHARACTERS = 200

StartMethod = Literal["spawn", "template"]
START_METHODS = ("spawn", "template")

OutputHandler = Callable[[Any, str, str], object]
WorkerOutput = Literal["inherit", "forward"] | OutputHandler


@dataclass(frozen=True, slots=True)
class TaskSettings:
    """What `add_task` was told beside the argument, key and meta."""

    timeout: float | None
    retries: RetryPolicy
    pinned: bool = False
    """Addressed to one worker (affinity strong or force)."""
    movable: bool = False
    """Of a pinned task: may be moved when loads get badly uneven (affinity strong)."""
    slot: int = -1
    """That of the worker it was added for, -1 if for none."""
    plain: bool = False
    """Of a task that has neither this nor a key nor a meta of its own: it may travel in a batch."""


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """The checked options of a pool. Times in seconds, memory in bytes."""

    max_workers: int
    min_workers: int
    tasks_per_worker: float
    worker_concurrency: int
    inherent_cost: Callable[[Any], float] | None
    worker_cost: Callable[[Any, Any], float] | None
    timeout: float | None
    retries: RetryPolicy
    max_tasks_per_worker: int | None
    max_memory_per_worker: int | None
    idle_timeout: float | None
    env: Mapping[str, str]
    worker_output: WorkerOutput
    name: str
    start_method: StartMethod | ForkedTemplate


def usable_cpus() -> int:
    """Return how many CPUs this process may use."""
    if sys.version_info >= (3, 13):
        return os.process_cpu_count() or 1
    return len(os.sched_getaffinity(0))


def check_options(
    *,
    max_workers: int | None,
    min_workers: int,
    tasks_per_worker: float,
    worker_concurrency: int | None,
    inherent_cost: Callable[[Any], float] | None,
    worker_cost: Callable[[Any, Any], float] | None,
    timeout: float | None,
    retries: int | RetryPolicy,
    max_tasks_per_worker: int | None,
    max_memory_per_worker: int | None,
    idle_timeout: float | None,
    env: Mapping[str, str] | None,
    worker_output: WorkerOutput,
    name: str | None,
    start_method: StartMethod | ForkedTemplate = "spawn",
) -> PoolOptions:
    """Check every option; `ValueError` or `TypeError` with one clear sentence for a wrong one."""
    most = usable_cpus() if max_workers is None else max_workers
    check_count("max_workers", most, at_least=1)
    if most > MAX_WORKERS_LIMIT:
        raise ValueError(f"max_workers must be at most {MAX_WORKERS_LIMIT}, not {most}")
    check_count("min_workers", min_workers, at_least=0)
    if min_workers > most:
        raise ValueError(f"min_workers ({min_workers}) must not be above max_workers ({most})")
    check_seconds("tasks_per_worker", tasks_per_worker)
    concurrency = DEFAULT_CONCURRENCY if worker_concurrency is None else worker_concurrency
    check_count("worker_concurrency", concurrency, at_least=1)
    if concurrency > MAX_CONCURRENCY:
        raise ValueError(f"worker_concurrency must be at most {MAX_CONCURRENCY}, not {concurrency}")
    check_callable("inherent_cost", inherent_cost)
    check_callable("worker_cost", worker_cost)
    check_timeout(timeout)
    for option, count in (
        ("max_tasks_per_worker", max_tasks_per_worker),
        ("max_memory_per_worker", max_memory_per_worker),
    ):
        if count is not None:
            check_count(option, count, at_least=1)
    if idle_timeout is not None:
        check_seconds("idle_timeout", idle_timeout)
    _check_output(worker_output)
    if start_method not in START_METHODS and not hasattr(start_method, "take"):
        raise ValueError(
            f"start_method must be one of {', '.join(START_METHODS)}, or what fork_template() "
            f"returns, not {brief(start_method)}"
        )
    return PoolOptions(
        most,
        min_workers,
        tasks_per_worker,
        concurrency,
        inherent_cost,
        worker_cost,
        timeout,
        checked_retries(retries),
        max_tasks_per_worker,
        max_memory_per_worker,
        idle_timeout,
        checked_env(env),
        worker_output,
        _checked_name(name),
        start_method,
    )


def check_timeout(timeout: float | None) -> None:
    """Check a task's timeout in seconds; None is no timeout."""
    if timeout is not None:
        check_seconds("timeout", timeout)


def check_affinity(affinity: str, slot: int | None) -> None:
    """Check a task's affinity, and that it names a worker if it needs one."""
    if affinity not in AFFINITIES:
        raise ValueError(f"affinity must be one of {', '.join(AFFINITIES)}, not {affinity!r}")
    if affinity != LIGHT and slot is None:
        raise ValueError(f"affinity={affinity!r} needs worker=, a worker or its id")


def _check_output(worker_output: object) -> None:
    if worker_output not in ("inherit", "forward") and not callable(worker_output):
        raise ValueError(
            "worker_output must be 'inherit', 'forward' or a function (worker, stream, line), "
            f"not {worker_output!r}"
        )
    if iscoroutinefunction(worker_output):
        raise TypeError("worker_output must be an ordinary function, not an async one")


def checked_env(env: Mapping[str, str] | None) -> dict[str, str]:
    """Return environment variables as they may be given to a process; refuse what no process can have."""
    if env is None:
        return {}
    if not isinstance(env, Mapping):
        raise TypeError(f"env must be a mapping of str to str, not {brief(env)}")
    for name, value in env.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"env must map str to str, not {name!r} to {value!r}")
        if not name or "=" in name or not _can_be_passed(name + value):
            raise ValueError(f"env has an entry that no process can have: {name!r} = {value!r}")
    return dict(env)


def _checked_name(name: str | None) -> str:
    if name is None:
        return "workpool"
    if not isinstance(name, str):
        raise TypeError(f"name must be text, not {brief(name)}")
    if not 0 < len(name) <= MOST_NAME_CHARACTERS or not _can_be_passed(name):
        raise ValueError(
            f"name must be of 1 to {MOST_NAME_CHARACTERS} characters that a process list can show, "
            f"not {brief(name)}"
        )
    return name


def _can_be_passed(text: str) -> bool:
    """Whether a process can be started with this text among its arguments or variables."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False
