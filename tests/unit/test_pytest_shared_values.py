"""`once_per_run`: what is made once, however many ask for it at the same moment."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier

import pytest

from workpool.pytest_plugin._shared_values import OncePerRun

WORKERS = 4
NAMES = [f"value {number}" for number in range(50)]


def test_all_get_it_while_the_others_keep_it(tmp_path: Path) -> None:
    """Those that ask at the same moment wait for the value, never for one that uses it."""
    workers = [OncePerRun(tmp_path) for _ in range(WORKERS)]
    made: list[str] = []
    undone: list[str] = []
    start = Barrier(WORKERS)

    def make(name: str) -> str:
        made.append(name)
        return name

    def ask(worker: OncePerRun) -> list[str]:
        values = []
        for name in NAMES:
            start.wait()
            values.append(worker(name, partial(make, name), undone.append))
        return values

    with ThreadPoolExecutor(WORKERS) as threads:
        assert list(threads.map(ask, workers)) == [NAMES] * WORKERS
    assert made == NAMES
    for worker in workers:
        assert not undone
        worker.close()
    assert undone == NAMES[::-1]


def test_it_is_made_again_once_it_was_undone(tmp_path: Path) -> None:
    """A worker that comes when all others have let go gets a value of its own."""
    made: list[int] = []

    def make() -> int:
        made.append(len(made))
        return made[-1]

    for expected in range(2):
        worker = OncePerRun(tmp_path)
        assert worker("x", make) == worker("x", make) == expected
        worker.close()


@pytest.mark.parametrize("other", ["a_b", "a/b", "../a b", "x" * 1000, "\udc80", ""])
def test_names_are_any_text(tmp_path: Path, other: str) -> None:
    """Names that differ are two values, whatever a file could be called."""
    worker = OncePerRun(tmp_path / "folder")
    assert worker("a b", lambda: 1) == 1
    assert worker(other, lambda: 2) == 2
    worker.close()
    assert os.listdir(tmp_path) == ["folder"]


def test_making_may_not_ask_for_itself(tmp_path: Path) -> None:
    """It would wait for ever; it may ask for others, and is asked again after an error."""
    worker = OncePerRun(tmp_path)
    with pytest.raises(RuntimeError, match="the function that makes 'x' asks for 'x' itself"):
        worker("x", lambda: worker("x", lambda: 1))
    assert worker("x", lambda: worker("y", lambda: 1) + 1) == 2
    worker.close()


def test_undoing_may_not_ask_for_itself(tmp_path: Path) -> None:
    """It would wait for ever; the error is that of the session's end, and nothing is left behind."""
    worker = OncePerRun(tmp_path)
    worker("x", lambda: 1, lambda value: worker("x", lambda: 2))
    with pytest.raises(RuntimeError, match="'x' itself"):
        worker.close()
    worker.close()


def test_threads_of_one_worker_share_one_use(tmp_path: Path) -> None:
    """They get one value, which is undone when the worker ends."""
    worker = OncePerRun(tmp_path)
    undone: list[int] = []
    start = Barrier(WORKERS)

    def ask(number: int) -> list[int]:
        start.wait()
        return [worker(name, lambda: number, undone.append) for name in NAMES]

    with ThreadPoolExecutor(WORKERS) as threads:
        found = [*threads.map(ask, range(WORKERS))]
    assert all(values == found[0] for values in found)
    worker.close()
    assert undone == found[0][::-1]


def test_what_cannot_be_pickled_is_nobodys(tmp_path: Path) -> None:
    """Whoever asks next makes it."""
    worker = OncePerRun(tmp_path)
    with pytest.raises((TypeError, AttributeError), match="pickle"):
        worker("x", lambda: iter(lambda: 1, 2))
    assert worker("x", lambda: 1) == 1
    worker.close()
