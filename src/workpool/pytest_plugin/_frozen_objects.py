"""What a worker has from its template, for those who ask the garbage collector what there is.

A template keeps its objects out of the collector's sight, so that their memory stays shared and nothing that
never ends is looked through again and again: to undo that at once takes a worker as long as a tenth of a small run. So
it is undone when somebody asks: hypothesis does, for who refers to a source of random numbers.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import wraps
from typing import Any

_NAMES = ("get_objects", "get_referrers")


def show_when_asked() -> None:
    """Have the first one who asks, and all after that, see everything."""
    originals = {name: getattr(gc, name) for name in _NAMES}
    for name, original in originals.items():
        setattr(gc, name, _showing(original, originals))


def _showing(
    original: Callable[..., Any], originals: dict[str, Callable[..., Any]]
) -> Callable[..., Any]:
    @wraps(original)
    def show(*arguments: Any, **options: Any) -> Any:
        gc.unfreeze()
        for name, function in originals.items():
            setattr(gc, name, function)
        return original(*arguments, **options)

    return show
