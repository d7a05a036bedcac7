"""What the workers of the backend run: the batches that joblib makes of calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

serving = False
"""Whether this process is such a worker: a call nested in another starts no more processes."""


def run(batch: Callable[[], list[Any]]) -> list[Any]:
    """Run one batch."""
    return batch()


class Start:
    """The start hook: notes where it is, then calls the user's initializer."""

    keeps_client = False

    def __init__(
        self, initializer: Callable[..., object] | None, arguments: tuple[Any, ...]
    ) -> None:
        self._initializer = initializer
        self._arguments = arguments

    def __call__(self, client: object) -> None:
        global serving
        serving = True
        if self._initializer is not None:
            self._initializer(*self._arguments)
