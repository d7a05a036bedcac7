"""What `benchmarks.peer_faults` says about what it has observed."""

import pytest

from benchmarks.peer_faults import cells
from benchmarks.peer_faults.faults import FAULTS
from benchmarks.peer_faults.runner import tracebacks_in
from benchmarks.peer_faults.subjects import PEERS

OTHERS = {"done": 2, "wrong": 1, "never": 3, "errors": ["OSError"]}
CHAINED = """\
Traceback (most recent call last):
  File "a.py", line 1, in <module>
OSError: first

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "a.py", line 3, in <module>
KeyboardInterrupt
"""
GROUP = """\
  + Exception Group Traceback (most recent call last):
  |   File "a.py", line 1, in <module>
  | ExceptionGroup: two (1 sub-exception)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    | KeyboardInterrupt
    +------------------------------------
"""


@pytest.mark.parametrize(
    ("text", "count"),
    [("", 0), (CHAINED, 1), (GROUP, 1), (CHAINED + GROUP + CHAINED, 3)],
    ids=["nothing", "chained", "group", "three"],
)
def test_an_exception_and_its_causes_are_one_traceback(text: str, count: int) -> None:
    """Tracebacks are counted as a reader of the terminal counts them."""
    assert tracebacks_in(text) == count


def test_a_cell_tells_the_fate_of_every_task() -> None:
    """Completed, wrong, failed and unended tasks are told apart, and so is the pool's state."""
    observed = {"victim": "OSError", "others": OTHERS, "afterwards": "never ends", "ends": False}
    assert cells.text("crash", observed) == (
        "`OSError`; 2 of 7 done, 1 get a wrong result, 1 fail, 3 never end; pool hangs; "
        "the program does not end"
    )


def test_rounds_that_differ_are_all_told() -> None:
    """A cell of several rounds keeps what differs, and of mere times the longest."""
    rounds: list[cells.Observation] = [
        {"seconds": 0.1, "left": 0, "tracebacks": 1},
        {"seconds": None, "left": 2, "tracebacks": 1, "is_parent_left": False},
        {"seconds": 0.3, "left": 0, "tracebacks": 1},
        {"seconds": 0.2, "left": 0, "tracebacks": 3},
    ]
    assert cells.summary("ctrl_c", rounds) == (
        "all gone in 0.3 s; tracebacks: 1 to 3 **or** processes left: 2; tracebacks: 1"
    )


def test_every_fault_can_be_brought_about_and_told() -> None:
    """Each row has its experiment and its words."""
    for fault in FAULTS.values():
        assert fault.cell in cells._CELLS
        assert fault.experiment is None or callable(fault.load())


def test_every_peer_that_needs_no_installation_can_be_made() -> None:
    """A column's names are those of a class; what is not installed for tests is not looked at."""
    for peer in PEERS.values():
        if peer.distribution in {"", "workpool"}:
            peer.make()
