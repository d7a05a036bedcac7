"""What the controller exempts from the search for garbage, and for how long."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from workpool.pytest_plugin._lasting_objects import LastingObjects


@pytest.fixture(autouse=True)
def nothing_exempt() -> Iterator[None]:
    """Begin and end with nothing exempt."""
    gc.unfreeze()
    yield
    gc.unfreeze()


class Config:
    """As much of a configuration as is needed."""

    def __init__(self) -> None:
        self.cleanups: list[Callable[[], None]] = []
        self.add_cleanup = self.cleanups.append


def run(config: Any) -> None:
    """Have a session's tests run."""
    loop = LastingObjects(config).pytest_runtestloop()
    next(loop)
    assert gc.get_freeze_count()
    with pytest.raises(StopIteration):
        next(loop)


def test_objects_are_exempt_until_all_is_cleaned_up() -> None:
    """From the first test on, and not longer than pytest needs its configuration."""
    config = Config()
    run(config)
    assert gc.get_freeze_count()
    for cleanup in config.cleanups:
        cleanup()
    assert not gc.get_freeze_count()


def test_what_others_have_exempted_stays_so() -> None:
    """Nothing is taken back that was not given here."""
    gc.freeze()
    config = Config()
    run(config)
    for cleanup in config.cleanups:
        cleanup()
    assert gc.get_freeze_count()
