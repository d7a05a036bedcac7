"""What is shown of a worker's output when its session begins."""

from __future__ import annotations

import os

import pytest

from workpool.pytest_plugin import _early_output
from workpool.pytest_plugin._early_output import EarlyOutput, Mark


def marks(capfd: pytest.CaptureFixture[str]) -> tuple[str, str]:
    Mark().write()
    written = capfd.readouterr()
    return written.out.rstrip("\n"), written.err.rstrip("\n")


def test_lines_before_the_mark_are_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    """Those of that worker and that stream, and half a line before the mark; none after it."""
    output = EarlyOutput()
    out, err = marks(capfd)
    assert output.take(0, "stdout", "early") == []
    assert output.take(0, "stderr", "an early error") == []
    assert output.take(0, "stdout", f"half a line{out}") == []
    assert output.take(0, "stdout", "late") == ["late"]
    assert output.take(0, "stderr", "another early error") == []
    assert output.take(0, "stderr", err) == []
    assert output.take(0, "stderr", "a late error") == ["a late error"]
    assert output.take(1, "stdout", "early") == []
    assert output.take(1, "stderr", "an early error") == []
    assert output.release(1) == ["early", "an early error"]
    assert output.take(1, "stdout", "late") == ["late"]


def test_the_worker_in_the_place_of_a_dead_one() -> None:
    """What the dead one had printed is shown; of the other one a mark is expected again."""
    output = EarlyOutput()
    output.take(0, "stdout", "first")
    assert output.forget(0) == ["first"]
    assert output.take(0, "stdout", "second") == []


def test_a_mark_that_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are held no longer than a mark may be on its way from a worker that has collected."""
    monkeypatch.setattr(_early_output, "_PATIENCE", -1.0)
    output = EarlyOutput()
    output.take(0, "stdout", "first")
    output.has_collected(0)
    assert output.take(0, "stdout", "second") == ["first", "second"]
    assert output.take(0, "stdout", "third") == ["third"]


def test_no_mark_where_somebody_else_reads(capfd: pytest.CaptureFixture[str]) -> None:
    """A session that has put another file in the place of standard output finds no mark in it."""
    held = Mark()
    reading, writing = os.pipe()
    saved = os.dup(1)
    try:
        os.dup2(writing, 1)
        held.write()
    finally:
        os.dup2(saved, 1)
        for descriptor in (saved, writing):
            os.close(descriptor)
    with os.fdopen(reading) as read:
        assert read.read() == ""
    assert capfd.readouterr().out == ""
