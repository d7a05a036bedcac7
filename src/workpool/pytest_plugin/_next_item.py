"""`NextItem`, what a test's protocol is given as the test that follows: found out when it matters.

How far fixtures are torn down depends on the next test, and only the tear-down asks. So a worker
claims its next test when the tear-down of the present one begins; until then that test can be given
to somebody else. What is claimed cannot.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


class NextItem:
    """Stands for the next test. Whoever asks it anything has it claimed."""

    def __init__(self, claim: Callable[[], pytest.Item | None]) -> None:
        self._claim = claim
        self.item: pytest.Item | None = None
        """What has been claimed, if anything has."""

    def resolve(self) -> pytest.Item | None:
        """Return the next test; None if there is none, now."""
        if self.item is None:
            self.item = self._claim()
        return self.item

    def __bool__(self) -> bool:
        return self.resolve() is not None

    def __getattr__(self, name: str) -> Any:
        item = self.resolve()
        if item is None:
            raise AttributeError(f"there is no next test, hence no {name!r}")
        return getattr(item, name)
