"""What the tests with real workers share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.children import Gate


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """Return a gate at which tasks report their process and wait; nobody is left at it afterwards."""
    with Gate(tmp_path, "gate") as gate:
        yield gate


@pytest.fixture
def other_gate(tmp_path: Path) -> Iterator[Gate]:
    """Return a second gate."""
    with Gate(tmp_path, "other") as gate:
        yield gate
