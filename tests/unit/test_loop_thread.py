"""The way into a pool's thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from workpool.sync._loop_thread import LoopThread


@pytest.fixture
def thread() -> Iterator[LoopThread]:
    """Return a thread that handles functions."""
    loop_thread = LoopThread("test", take=lambda item: None, refuse=lambda item: None)
    loop_thread.start()
    yield loop_thread
    loop_thread.post(loop_thread.end)
    loop_thread.wait(10)
    assert loop_thread.ended.is_set()


class Interrupted:
    """A lock in whose taking Ctrl-C comes, once."""

    def __init__(self, thread: Any) -> None:
        self._thread = thread
        self._lock = thread._lock

    def __enter__(self) -> None:
        self._thread._lock = self._lock
        raise KeyboardInterrupt

    def __exit__(self, *_: object) -> None:
        raise AssertionError("never entered")


def test_an_interrupt_while_the_loop_is_woken(thread: LoopThread) -> None:
    """Who comes next wakes it; what was brought before is handled too."""
    thread.ask(lambda: None)  # it sleeps soon, and all it had to do is done
    handled = threading.Event()
    thread._lock = Interrupted(thread)  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        while True:  # until one of them finds that the loop has to be woken
            thread.post(handled.set)
    assert thread.ask(lambda: "answered") == "answered"
    assert handled.is_set()
