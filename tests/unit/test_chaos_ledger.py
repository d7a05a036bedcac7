"""The chaos runner's ledger: lines are whole whoever writes, and tell of lives in order."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.chaos import ledger
from benchmarks.chaos.reading import Attempt, lives, parse

P, Q = "10.5", "10.9"  # one process id, used twice


def lines_of(*lines: tuple[str, int, str, int, str]) -> bytes:
    return b"".join(ledger.render(*line) for line in lines)


def test_a_page_holds_whole_lines_only() -> None:
    """Lines divide a page, so that a write that is cut short at a page's end leaves no half line."""
    assert os.sysconf("SC_PAGE_SIZE") % ledger.LINE_BYTES == 0


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    """A line comes back as it was given, also when it is about another process."""
    path = tmp_path / "ledger"
    writer = ledger.LedgerWriter(str(path))
    started = writer.write(ledger.START, 7, "2")
    writer.write(ledger.HIT, 0, "SIGKILL", process=P)
    writer.close()
    mine, theirs = parse(path.read_bytes())
    assert mine == ("S", 7, ledger.process_name(os.getpid()), started, "2")
    assert theirs[:3] == ("K", 0, P)
    assert theirs.detail == "SIGKILL"


def test_half_a_line_is_refused() -> None:
    """A ledger that was damaged is not judged by."""
    with pytest.raises(ValueError, match="within a line"):
        parse(lines_of(("S", 1, P, 1, "0"))[:-1])


def test_attempts_are_sorted_by_life() -> None:
    """Starts and ends find each other within a life, and a life is more than a process id."""
    found = lives(
        parse(
            lines_of(
                ("B", -1, P, 1, "0"),
                ("S", 1, P, 2, "0"),
                ("S", 1, Q, 3, "1"),
                ("E", 1, P, 4, "raised"),
                ("S", 1, P, 5, "0"),
                ("E", 1, P, 6, "ok"),
            )
        )
    )
    assert found[P].attempts == [
        Attempt(1, P, 0, 2, 4, "raised"),
        Attempt(1, P, 0, 5, 6, "ok"),
    ]
    assert found[Q].attempts == [Attempt(1, Q, 1, 3, None, "")]
    assert found[P].pid == found[Q].pid == 10
    assert found[P].born
    assert not found[Q].born


def test_an_end_without_a_start_is_refused() -> None:
    """What cannot be is not passed over."""
    with pytest.raises(ValueError, match="without a start"):
        lives(parse(lines_of(("E", 1, P, 4, "ok"))))


def test_a_signal_that_missed_is_no_cause() -> None:
    """Only what was sent may have killed; a stop alone has not."""
    found = lives(
        parse(
            lines_of(
                ("K", 0, P, 1, "SIGSTOP"),
                ("K", 1, P, 2, "SIGKILL"),
                ("M", 1, P, 3, "SIGKILL"),
                ("K", 0, Q, 4, "SIGTERM"),
            )
        )
    )
    assert (found[P].causes, found[P].stops) == ([], [1])
    assert found[Q].causes == [("SIGTERM", 4)]
