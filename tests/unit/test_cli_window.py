"""The bound on what is under way, and the order of the output."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workpool.cli._window import Window


def window(*, ordered: bool = True, max_inputs: int = 100, max_bytes: int = 10_000) -> Window:
    return Window(ordered=ordered, max_inputs=max_inputs, max_bytes=max_bytes)


@given(st.permutations(range(8)))
def test_lines_leave_in_the_order_of_the_inputs(order: list[int]) -> None:
    """Whatever finishes first, each line leaves once, after all before it."""
    lines = window()
    for _ in order:
        lines.admit(1)
    left = [line for index in order for line in lines.finish(index, b"%d" % index)]
    assert left == [b"%d" % index for index in range(8)]


def test_unordered_lines_leave_at_once() -> None:
    """Without order nothing is held back."""
    lines = window(ordered=False)
    first, second = lines.admit(1), lines.admit(1)
    assert lines.finish(second, b"b") == [b"b"]
    assert lines.finish(first, b"a") == [b"a"]


def test_what_waits_for_an_earlier_input_counts_against_the_bound() -> None:
    """One slow input stops the reading once the rest of the window has finished behind it."""
    lines = window(max_inputs=3)
    slow, *fast = (lines.admit(1) for _ in range(3))
    for index in fast:
        assert lines.finish(index, b"x") == []
    assert not lines.has_room()
    assert len(lines.finish(slow, b"x")) == 3


def test_what_is_not_written_yet_counts_against_the_bound() -> None:
    """A consumer that does not read stops the reading of inputs."""
    lines = window(ordered=False, max_inputs=2)
    for _ in range(2):
        lines.finish(lines.admit(1), b"x")
    assert not lines.has_room()
    lines.written(2, 2)
    assert lines.has_room()
    assert len(lines) == 0


def test_large_inputs_and_results_reach_the_bound_in_bytes() -> None:
    """Few but long lines are bounded, too; a single one of any length is let in."""
    lines = window(max_bytes=10)
    assert lines.has_room()
    first = lines.admit(1000)
    assert not lines.has_room()
    assert lines.finish(first, b"tiny") == [b"tiny"]
    assert lines.has_room()
    lines.finish(lines.admit(1), b"x" * 100)
    assert not lines.has_room()
    lines.written(2, 104)
    assert lines.has_room()
    assert lines.is_half_empty()


def test_a_cut_forgets_the_later_inputs_only() -> None:
    """After a failure, what came before it still leaves, and nothing after it does."""
    lines = window()
    first, second, third = (lines.admit(1) for _ in range(3))
    lines.finish(third, b"3")
    lines.cut(second)
    assert lines.finish(first, b"1") == [b"1"]
    lines.written(1, 1)
    assert len(lines) == 0
    assert lines.drain() == []


def test_a_drain_gives_what_is_held_back_in_order() -> None:
    """When the job is interrupted, finished lines are not lost to an unfinished one."""
    lines = window()
    for _ in range(5):
        lines.admit(1)
    lines.finish(3, b"3")
    lines.finish(1, b"1")
    assert lines.gaps() == [0, 2]
    assert lines.drain() == [b"1", b"3"]
