"""Forked children of this process hold copies of its descriptors: they let go of a channel's at once.

Otherwise a child at the other end would not notice that this process has ended.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class _Holder(Protocol):
    def let_go_in_child(self) -> None: ...


_HOLDERS: WeakSet[_Holder] = WeakSet()


def let_go_when_forked(holder: _Holder) -> None:
    """Have `holder.let_go_in_child()` called in every child that is forked from now on."""
    _HOLDERS.add(holder)


def _let_go() -> None:
    for holder in list(_HOLDERS):
        holder.let_go_in_child()


os.register_at_fork(after_in_child=_let_go)
