"""Forked children of this process hold copies of what the pool holds of its workers: they let go of it at once.

A child that another thread forks off while a worker is started must find an owner for every
descriptor: the end of a liveness pipe that nobody closes there would keep the worker alive. So a fork
waits while somebody has `no_fork`.
"""

from __future__ import annotations

import os
import threading
from typing import Protocol
from weakref import WeakSet

no_fork = threading.RLock()


class Holder(Protocol):
    """What has descriptors to close."""

    def close(self) -> None: ...


_holders: WeakSet[Holder] = WeakSet()


def close_when_forked(holder: Holder) -> None:
    """Have `holder.close()` called in every child that is forked from now on."""
    _holders.add(holder)


def is_closed(holder: Holder) -> None:
    """Forget a holder that has nothing to close any more."""
    _holders.discard(holder)


def _let_go() -> None:
    for holder in list(_holders):
        holder.close()
    no_fork.release()


os.register_at_fork(before=no_fork.acquire, after_in_parent=no_fork.release, after_in_child=_let_go)
