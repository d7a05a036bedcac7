"""Ending on a signal: once in good order, and in any case."""

from __future__ import annotations

import asyncio
import signal
import threading

from workpool.cli._signals import StopSignals


async def test_the_first_signal_is_told_to_the_loop() -> None:
    """The process goes on; what was there before is put back afterwards."""
    told = asyncio.Event()
    before = signal.getsignal(signal.SIGTERM)
    ended: list[int] = []
    with StopSignals(told.set, end=ended.append) as signals:
        signal.raise_signal(signal.SIGTERM)
        await told.wait()
    assert signals.number == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before
    assert ended == []


async def test_a_second_signal_ends_the_process_at_once() -> None:
    """Somebody who presses Ctrl-C twice does not want to wait."""
    ended: list[int] = []
    with StopSignals(lambda: None, end=ended.append):
        signal.raise_signal(signal.SIGINT)
        assert ended == []
        signal.raise_signal(signal.SIGINT)
    assert ended == [130]


async def test_the_deadline_ends_the_process_whatever_blocks_the_loop() -> None:
    """The watchdog needs neither the loop nor the main thread."""
    status: list[int] = []
    ended = threading.Event()

    def end(number: int) -> None:
        status.append(number)
        ended.set()

    with StopSignals(lambda: None, deadline=0.01, end=end):
        signal.raise_signal(signal.SIGINT)
        assert ended.wait(10)  # blocks the loop
    assert status == [130]


async def test_an_ignored_signal_stays_ignored() -> None:
    """As `nohup` wants it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopSignals(lambda: None) as signals:
            signal.raise_signal(signal.SIGINT)
        assert signals.number is None
    finally:
        signal.signal(signal.SIGINT, before)
