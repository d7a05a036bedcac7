"""Whether workers have collected the same."""

from __future__ import annotations

from typing import Any

from workpool.pytest_plugin._roster import Roster

PLACE = ("", "module", "", "", None)


def opening(digest: bytes) -> dict[str, Any]:
    """Return what a worker tells that has opened its session."""
    return {"digest": digest}


def listed(*names: str) -> tuple[Any, ...]:
    """Return what a worker tells that has collected these tests."""
    return [*names], [0] * len(names), [PLACE]


def test_the_list_of_the_first_may_come_second() -> None:
    """Until it is there, nothing can be compared with it; who is first does not change."""
    roster = Roster(2)
    for worker, digest in ((1, b"one"), (0, b"two")):
        roster.note_opening(worker, opening(digest))
        assert roster.needs_list(worker)
    assert not roster.can_compare(0)
    assert roster.can_compare(1)
    assert roster.note_list(1, listed("a", "b")) is None
    assert roster.can_compare(0)
    difference = roster.note_list(0, listed("b", "c"))
    assert difference is not None
    assert (difference.missing, difference.extra) == (["a"], ["c"])
    assert roster.collected.nodeids == ["a", "b"]
    assert roster.ready == [1, 0]


def test_the_worker_in_the_place_of_the_first_is_compared_too() -> None:
    """What the first had collected stays what the others are compared with, though it has died."""
    roster = Roster(1)
    roster.note_opening(0, opening(b"one"))
    assert roster.note_list(0, listed("a")) is None
    assert roster.note_loss(0)
    roster.note_opening(0, opening(b"two"))
    assert roster.needs_list(0)
    difference = roster.note_list(0, listed("b"))
    assert difference is not None
    assert (difference.missing, difference.extra) == (["a"], ["b"])


def test_what_two_workers_tell_alike_is_new_once() -> None:
    """Each names itself in it; a path may have the name of one of them."""
    roster = Roster(2)
    told = [
        roster.note_failure(worker, [f"gw{worker} broke", "in /tmp/gw0-7/conftest.py"])
        for worker in (0, 1)
    ]
    assert [problem.is_new for problem in told] == [True, False]
    assert roster.note_failure(1, ["gw1 broke otherwise"]).is_new
