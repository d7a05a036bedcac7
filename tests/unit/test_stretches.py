"""How a stretch of a chunk is cut: by the signal's handler, in the process of the worker itself."""

from __future__ import annotations

import operator
import os
import pickle
import signal
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from workpool._system.status_page import INTERRUPTION, KEPT, REVOKED, STRETCH, TRAY_BYTES
from workpool._worker.chunks import Chunk, ChunkRunner, WorkDone
from workpool._worker.stretches import copy_of_tray, kept_results, unpack_stretch

ATTEMPT = 7
COUNT = 100


class Worker:
    """As much of a worker as it takes to run a chunk, and what the pool sees of it."""

    def __init__(self) -> None:
        self.words = [0] * 16
        self.tray = memoryview(bytearray(TRAY_BYTES))
        self.page = SimpleNamespace(field=lambda slot, field: field, tray=lambda slot: self.tray)
        self.errors: list[BaseException] = []
        self.config = SimpleNamespace(slot=0)
        self.liveness = SimpleNamespace(forked=False)
        self.tasks_left = 1 << 60
        self.begun = 1

    def count_begun(self, count: int) -> None:
        self.begun += count

    def pack_result(self, value: Any) -> tuple[int, bytes, tuple[()]]:
        return 0, pickle.dumps(value, 5), ()

    def pack_error(self, error: BaseException) -> tuple[int, bytes]:
        self.errors.append(error)
        return 0, b"error"

    def revoke(self, attempt: int = ATTEMPT) -> None:
        """Do what the pool does, and get the signal at once."""
        self.words[REVOKED] = attempt
        signal.raise_signal(INTERRUPTION)

    def outcome(self, chunk: Chunk) -> Any:
        """Run a chunk in stretches that are as long as they may be; return what would be reported."""
        runner = ChunkRunner(self, int, by_items=False)  # type: ignore[arg-type]
        runner._step = 64
        with pytest.raises(WorkDone) as done:
            runner.run(ATTEMPT, chunk)
        return pickle.loads(done.value.args[2])

    @property
    def stretch_end(self) -> int:
        stretch = unpack_stretch(self.words[STRETCH], ATTEMPT)
        assert stretch is not None
        return stretch[1]

    @property
    def kept(self) -> list[Any]:
        word = self.words[KEPT]
        return kept_results(copy_of_tray(word, ATTEMPT, self.tray))


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    monkeypatch.setattr(os, "register_at_fork", lambda **_: None)
    handler = signal.getsignal(INTERRUPTION)
    yield Worker()
    signal.signal(INTERRUPTION, handler)


def test_a_stretch_is_cut(worker: Worker) -> None:
    """In the midst of an item the rest is let go, that is said, and the results are on the tray."""
    seen: list[Any] = []

    def run(number: int) -> int:
        if number == 50:
            assert worker.stretch_end > 51
            worker.revoke()
            seen.append((worker.stretch_end, worker.kept))
        return number

    parts, begun = worker.outcome(Chunk(range(COUNT), run))
    assert seen == [(51, list(range(50)))]
    assert (parts, begun) == ([list(range(51))], 51)
    assert worker.begun == 51


def test_a_stretch_is_cut_between_calls_of_c_code(worker: Worker) -> None:
    """Though no Python code of theirs is run, in which the handler could be."""
    calls: list[Any] = [(int, n) for n in range(COUNT)]
    calls[50] = (worker.words.__setitem__, REVOKED, ATTEMPT)
    process = os.pidfd_open(os.getpid())
    calls[51] = (signal.pidfd_send_signal, process, INTERRUPTION)
    parts, begun = worker.outcome(Chunk(calls, operator.call, spread=True))
    os.close(process)
    assert (parts, begun) == ([[*range(50), None, None]], 52)
    assert worker.stretch_end == 52


@pytest.mark.parametrize("failure", [ValueError("fifty"), StopIteration("fifty")])
def test_an_item_fails_that_was_cut_off(worker: Worker, failure: BaseException) -> None:
    """Its error is told, and nothing behind it is begun, though the chunk is one that goes on."""

    def run(number: int) -> int:
        if number == 50:
            worker.revoke()
            raise failure
        return number

    parts, begun = worker.outcome(Chunk(range(COUNT), run, goes_on=True))
    assert (parts, begun) == ([list(range(50)), b"error"], 51)
    assert type(worker.errors[0]) is type(failure)


def test_other_signals_cut_nothing(worker: Worker) -> None:
    """One that is about another attempt, and one whose handler was there before: that is called, too."""
    heard: list[int] = []
    signal.signal(INTERRUPTION, lambda number, frame: heard.append(number))

    def run(number: int) -> int:
        if number in (30, 60):
            worker.revoke(ATTEMPT + 1)
        return number

    assert worker.outcome(Chunk(range(COUNT), run)) == list(range(COUNT))
    assert heard == [INTERRUPTION] * 2


def test_results_of_somebodys_classes_are_left_to_the_report(worker: Worker) -> None:
    """To pickle them would call their methods, in the midst of an item that may hold their locks."""

    class Result:
        def __reduce__(self) -> tuple[Any, ...]:
            assert not cutting, "pickled in the handler"
            return int, (1,)

    cutting = False

    def run(number: int) -> Any:
        nonlocal cutting
        if number == 50:
            cutting = True
            worker.revoke()
            cutting = False
        return Result()

    assert worker.outcome(Chunk(range(COUNT), run)) == ([[1] * 51], 51)
