"""Spares the controller looking for garbage in what was there before the tests: modules, plugins, options.

Python looks through all objects now and then, and pytest has it do so once more at the end of a session, for the
sake of what tests have left behind. None are run here, and all this lasts as long as the session anyway.
"""

from __future__ import annotations

import gc
from collections.abc import Generator

import pytest


class LastingObjects:
    """The plugin that exempts them, from the beginning of the tests on until pytest has cleaned up."""

    def __init__(self, config: pytest.Config) -> None:
        self._are_exempt = False
        # Registered before that of pytest which looks for garbage, it comes after it.
        config.add_cleanup(self._end)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """Exempt what is there; unless somebody else has exempted something, which could not be told apart."""
        if not gc.get_freeze_count():
            self._are_exempt = True
            gc.freeze()
        return (yield)

    def _end(self) -> None:
        """Leave nothing exempt: a program may run pytest and go on."""
        if self._are_exempt:
            self._are_exempt = False
            gc.unfreeze()
