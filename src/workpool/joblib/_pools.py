"""The pools behind the backend: kept warm between calls, shared by calls that want the same."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workpool.joblib import _worker

if TYPE_CHECKING:
    from workpool.sync import WorkerPool

IDLE_TIMEOUT = 300.0
"""Seconds after which a worker without work ends, as long as with loky."""

_MOST_UNUSED = 2
"""Pools kept although no call uses them: programs go back and forth between two numbers of jobs (or of
inner threads) more often than between three, and each may hold as many workers as there are CPUs."""

OPTIONS = (
    "env",
    "idle_timeout",
    "initializer",
    "initargs",
    "max_memory_per_worker",
    "max_tasks_per_worker",
    "name",
    "retries",
    "worker_output",
)


@dataclass(frozen=True)
class Wanted:
    """What a call wants its pool to be like. `options` are those of a `WorkerPool`, and an initializer."""

    n_jobs: int
    env: dict[str, str]
    options: dict[str, Any]


@dataclass
class _Kept:
    wanted: Wanted
    pool: WorkerPool[Any, list[Any]]
    users: int = 0
    closing: bool = False
    """Whether it ends with its last user."""


_pools: list[_Kept] = []  # the one used last is the last
_lock = threading.Lock()


def acquire(wanted: Wanted) -> WorkerPool[Any, list[Any]]:
    """Return a pool of this kind, new or warm. It is there until it is released."""
    with _lock:
        kept = next((kept for kept in _pools if _is_like(kept, wanted)), None)
        if kept is None:
            kept = _Kept(wanted, _make(wanted))
        else:
            _pools.remove(kept)
        _pools.append(kept)
        kept.users += 1
        return kept.pool


def release(pool: WorkerPool[Any, list[Any]]) -> None:
    """Tell that a call is over; its pool may be kept for the next one."""
    with _lock:
        for kept in _pools:
            if kept.pool is pool:
                kept.users -= 1
        for kept in _superfluous():
            _pools.remove(kept)
            kept.pool.dispose()


def give_up(pool: WorkerPool[Any, list[Any]]) -> None:
    """Give a pool to no further call: it has ended."""
    with _lock:
        for kept in _pools:
            kept.closing = kept.closing or kept.pool is pool


def close() -> None:
    """End the workers that are kept for the next call; wait until they are gone.

    Those of a call that is not over (another thread's, or a generator's) end with it. Nobody needs to
    call this: workers end when they have had no work for five minutes, and with the program.
    """
    with _lock:
        unused = [kept for kept in _pools if not kept.users]
        _pools[:] = [kept for kept in _pools if kept.users]
        for kept in _pools:
            kept.closing = True
    for kept in unused:
        kept.pool.close()


def _make(wanted: Wanted) -> WorkerPool[Any, list[Any]]:
    from workpool import Entrypoint  # not in workers, which import this module too
    from workpool.sync import WorkerPool

    options = {"idle_timeout": IDLE_TIMEOUT, "name": "joblib", **wanted.options}
    start = _worker.Start(options.pop("initializer", None), tuple(options.pop("initargs", ())))
    env = {**wanted.env, **(options.pop("env", None) or {})}
    entrypoint = Entrypoint(_worker.__name__, _worker.run.__name__, on_worker_start=start)
    return WorkerPool(entrypoint, max_workers=wanted.n_jobs, env=env, **options)


def _is_like(kept: _Kept, wanted: Wanted) -> bool:
    try:
        return not kept.closing and bool(kept.wanted == wanted)
    except Exception:  # noqa: BLE001 - an option that cannot be compared, an array in `initargs`, say
        return False


def _superfluous() -> list[_Kept]:
    unused = [kept for kept in _pools if not kept.users]
    staying = [kept for kept in unused if not kept.closing][-_MOST_UNUSED:]
    return [kept for kept in unused if not any(kept is other for other in staying)]


def _let_go_in_child() -> None:
    """In a forked child: the pools are the parent's, and another thread may have held the lock."""
    global _lock
    _lock = threading.Lock()
    _pools.clear()


os.register_at_fork(after_in_child=_let_go_in_child)
