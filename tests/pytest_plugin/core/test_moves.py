"""What is taken from a worker for one with nothing to do, and what is not called. Takes 0.1 s."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest

from tests.pytest_plugin.core.simulation import PLACE, Simulation
from workpool.pytest_plugin._console import Console
from workpool.pytest_plugin._grouping import Group
from workpool.pytest_plugin._moves import stretches, worth_moving
from workpool.pytest_plugin._plan import Plan

FIRST, SECOND, THIRD = (Group(name, "", (), may_split=True) for name in "abc")
FIXED = Group("fixed", "", (), may_split=False)
COST = 0.005


def moved(groups: list[Group], begun: set[Group], *, is_stuck: bool, cost: float = COST) -> str:
    """Return which of these tests, a letter each and 0.01 s long, are moved."""
    names = "abcdefgh"[: len(groups)]
    of_name = dict(zip(names, groups, strict=True))
    waiting = stretches(names, of_name.__getitem__, lambda name: 0.01)
    return "".join(worth_moving(waiting, begun.__contains__, lambda group: cost, is_stuck=is_stuck))


def test_whole_groups_are_moved_first() -> None:
    """Of a worker that goes on the far groups, of one that is stuck the next ones, each as a whole."""
    groups = [FIRST, SECOND, SECOND, THIRD, THIRD]
    assert moved(groups, {FIRST}, is_stuck=False) == "de"
    assert moved(groups, {FIRST}, is_stuck=True, cost=1.0) == "bc"


def test_the_next_test_is_moved_first_if_its_fixtures_cost_little() -> None:
    """Behind one that is stuck it does not wait until all other groups have been moved."""
    groups = [FIRST, SECOND, SECOND, THIRD, THIRD]
    assert moved(groups, {FIRST}, is_stuck=True).startswith("a")
    assert moved([FIXED, SECOND], {FIXED}, is_stuck=True) == "b"


def test_a_group_that_has_begun_is_split_where_that_pays() -> None:
    """Half of it is moved if it takes longer than its fixtures' set-up; at any rate if it is stuck."""
    groups = [FIRST] * 6
    assert moved(groups, {FIRST}, is_stuck=False) == "def"
    assert moved(groups, {FIRST}, is_stuck=False, cost=1.0) == ""
    assert moved(groups, {FIRST}, is_stuck=True, cost=1.0) == "abc"


def test_a_group_that_must_not_be_split_is_moved_before_it_has_begun_only() -> None:
    """Nothing of it is taken once a test of it has run; the whole of it before."""
    assert moved([FIXED] * 3, {FIXED}, is_stuck=True) == ""
    assert moved([FIRST, FIXED, FIXED], {FIRST}, is_stuck=True, cost=1.0) == "bc"


def test_the_rest_of_a_group_goes_with_it() -> None:
    """What nobody had been sent of a group that must stay together follows what is taken back, in order."""
    group = Group("fixed", "", range(5), may_split=False)
    plan = Plan([group], [], 2, lambda test: 0.01)
    owner = next(worker for worker in (0, 1) if plan.next_for(worker) is not None)
    thief = 1 - owner
    assert plan.next_for(owner) == 1
    plan.hand_over(1, thief)
    plan.hand_over(0, thief)
    assert plan.next_for(owner) is None
    assert [plan.next_for(thief) for _ in range(5)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("scope", ["module", "auto"])
def test_a_module_behind_a_long_test_of_another(scope: str) -> None:
    """It does not wait for that test, and its fixtures are set up once."""
    tests = [
        (PLACE._replace(module=module), seconds)
        for module, seconds in [("a.py", 3.0), *[("b.py", 0.01)] * 20, *[("c.py", 0.01)] * 20]
    ]
    run = Simulation(tests, scope=scope)
    assert run.run() <= 3.1
    assert max(end for end, _, name in run.ended if not name.startswith("a.py")) < 1.5
    assert run.set_ups == 3


class _File(io.StringIO):
    """Counts what it is asked to write."""

    writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)


def test_the_terminal_is_written_to_once_per_turn() -> None:
    """What is reported in one go is written in one go, in its order, also if a report raises."""
    file = _File()
    writer: Any = SimpleNamespace(_file=file)
    reporter = SimpleNamespace(_tw=writer)
    manager = SimpleNamespace(get_plugin=lambda name: reporter)
    console = Console(SimpleNamespace(pluginmanager=manager))  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError), console.held():
        for letter in "abc":
            writer._file.write(letter)
            writer._file.flush()
        raise ZeroDivisionError
    assert (file.getvalue(), file.writes) == ("abc", 1)
    assert writer._file is file
