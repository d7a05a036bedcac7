"""Aiming: how long tasks must take so that every other one ends before it is stopped. Pure."""

import random
from typing import NamedTuple

STEP = 0.000_1
SPREAD = 0.000_25
"""Seconds. The outcome of one race moves the aim by a step; a shot lies within the spread of it."""


class Shot(NamedTuple):
    """How long a task is to take, and whether it was aimed: then its end is news for the aim."""

    seconds: float
    is_aimed: bool


class Aim:
    """Follows the moment at which both sides of a race are equally likely to win.

    Half of the shots go near it, where a window of a few microseconds is hit now and then; the
    others go anywhere in the range, so that no other moment is left out.
    """

    def __init__(self, dice: random.Random, earliest: float, latest: float) -> None:
        self._dice = dice
        self._earliest = earliest
        self._latest = latest
        self.centre = (earliest + latest) / 2

    def shoot(self) -> Shot:
        """Return the next shot; an aimed one counts as stopped until its task is said to have ended."""
        if self._dice.random() < 0.5:
            return Shot(self._dice.uniform(self._earliest, self._latest), False)
        self._move(-STEP)
        return Shot(self.centre + self._dice.uniform(-SPREAD, SPREAD), True)

    def ended(self) -> None:
        """Note that the task of an aimed shot reached its end."""
        self._move(2 * STEP)

    def _move(self, seconds: float) -> None:
        self.centre = min(self._latest, max(self._earliest, self.centre + seconds))
