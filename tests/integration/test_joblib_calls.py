"""Calls through the joblib backend: as with joblib's own, in one pool that is kept warm."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import joblib
import pytest
from joblib import delayed

import workpool.joblib
from tests import joblib_children as children
from tests.children import Gate
from workpool import WorkerTraceback

pytestmark = pytest.mark.once

Parallel = partial(joblib.Parallel, n_jobs=2, backend="workpool")


@pytest.fixture(scope="module", autouse=True)
def warm_workers() -> Iterator[None]:
    """Start the two workers that all tests here share, so that no test is said to have left them."""
    calls = (delayed(time.sleep)(0.3) for _ in range(4))
    Parallel(pre_dispatch="all", batch_size=1)(calls)
    yield
    workpool.joblib.close()


def test_naming_the_backend_is_enough() -> None:
    """Code that says nothing of jobs or backends runs in workers, its results in order."""
    with joblib.parallel_config(backend="workpool", n_jobs=2):
        calls = [delayed(pow)(n, 2) for n in range(200)]
        assert joblib.Parallel()(calls) == [n * n for n in range(200)]
        assert os.getpid() not in joblib.Parallel()(delayed(os.getpid)() for _ in range(4))


def test_the_number_of_jobs() -> None:
    """None given means all CPUs; negative ones count back from there, and never below one; not zero."""
    cpus = joblib.cpu_count()
    with joblib.parallel_config(backend="workpool"):
        assert joblib.Parallel().n_jobs == -1
        found = [joblib.effective_n_jobs(n) for n in (-1, 3, -cpus - 5)]
        assert found == [cpus, 3, 1]
        with pytest.raises(ValueError, match="n_jobs == 0"):
            joblib.effective_n_jobs(0)


def test_one_job_runs_in_this_process() -> None:
    """As with every backend of joblib."""
    assert set(Parallel(n_jobs=1)(delayed(os.getpid)() for _ in range(3))) == {os.getpid()}


def test_workers_are_warm_in_the_next_call(gate: Gate) -> None:
    """Calls of any `Parallel` with as many jobs run in the same processes."""
    assert children.workers_of(Parallel, gate) == children.workers_of(Parallel, gate)


def test_lambdas_and_closures() -> None:
    """What cannot be imported goes by value."""
    factor = 7
    calls = (delayed(lambda n: n * factor)(n) for n in range(5))
    assert Parallel()(calls) == [0, 7, 14, 21, 28]


def test_an_exception_is_the_tasks_own() -> None:
    """It has its type and attributes, and the traceback in the worker as its cause."""
    calls = (delayed(children.refuse)(n, 30) for n in range(60))
    with pytest.raises(children.Refusal) as caught:
        Parallel()(calls)
    assert caught.value.number == 30
    assert isinstance(caught.value.__cause__, WorkerTraceback)
    assert "in refuse" in str(caught.value.__cause__)


def test_an_error_of_the_source_is_raised() -> None:
    """Also when it is read in a callback, as what is not dispatched at once."""

    def source() -> Iterator[Any]:
        for n in range(50):
            yield delayed(abs)(n)
        raise KeyError("no more")

    with pytest.raises(KeyError, match="no more"):
        Parallel()(source())


def test_what_cannot_be_pickled_is_named() -> None:
    """The call fails with a `pickle.PicklingError` that says which object; nothing hangs."""
    with pytest.raises(workpool.SerializationError, match=r"a call of .*abs.* cannot pickle"):
        Parallel()(delayed(abs)(threading.Lock()) for _ in range(1))


def test_generators_of_results() -> None:
    """In order or as they come, while later calls are still made."""
    calls = [delayed(pow)(n, 2) for n in range(40)]
    squares = [n * n for n in range(40)]
    assert list(Parallel(return_as="generator")(calls)) == squares
    assert sorted(Parallel(return_as="generator_unordered")(calls)) == squares


def test_generators_of_several_calls_overlap() -> None:
    """With one backend instance behind both; to drop one aborts its calls, not those of the other."""
    with joblib.parallel_config(backend="workpool", n_jobs=2):
        stuck = [delayed(abs)(-1), delayed(time.sleep)(60)]
        first = joblib.Parallel(return_as="generator", batch_size=1)(stuck)
        second = joblib.Parallel(return_as="generator")(delayed(abs)(n) for n in range(300))
        assert [next(first), next(second)] == [1, 0]
        with pytest.warns(UserWarning, match="1 tasks which were still being processed"):
            del first
        assert list(second) == list(range(1, 300))


def test_tiny_calls_travel_in_batches(capfd: pytest.CaptureFixture[str]) -> None:
    """joblib learns how long batches take, and makes larger ones."""
    assert Parallel(verbose=10)(delayed(abs)(n) for n in range(2000)) == list(range(2000))
    told = capfd.readouterr().err
    assert "Using backend WorkpoolBackend with 2 concurrent workers" in told
    assert "Setting batch_size=" in told
    assert "Done 2000 out of 2000" in told


def test_the_source_is_read_no_further_ahead_than_pre_dispatch() -> None:
    """The next call is read when one has ended."""
    ahead, done = [], 0

    def source() -> Iterator[Any]:
        for n in range(30):
            ahead.append(n - done)
            yield delayed(abs)(n)

    for _ in Parallel(return_as="generator", pre_dispatch=3, batch_size=1)(source()):
        done += 1
    assert max(ahead[:3]) < 3
    assert len(ahead) == 30


@pytest.mark.parametrize("backend", [None, "workpool"])
def test_nested_calls_start_no_processes(backend: str | None, gate: Gate) -> None:
    """Below a worker come threads, below these nothing, whether they name this backend or none."""
    levels = Parallel()(delayed(children.nested)(backend, 1) for _ in range(2))[0]
    kinds = [kind for kind, _ in levels]
    assert kinds == ["ThreadingBackend", "SequentialBackend"]
    processes = set.union(*(pids for _, pids in levels))
    assert len(processes) == 1
    assert processes < children.workers_of(Parallel, gate)


def test_a_source_may_make_calls_itself() -> None:
    """joblib reads it under a lock and in a callback: neither holds up the pool."""

    def source() -> Iterator[Any]:
        for n in range(20):
            inner = Parallel()(delayed(abs)(m) for m in range(3))
            yield delayed(abs)(n + sum(inner))

    assert Parallel(batch_size=1)(source()) == list(range(3, 23))


def test_calls_of_several_threads() -> None:
    """They share the workers, and one that fails does not abort another's."""

    def call(refused: int) -> list[int]:
        results: list[int] = Parallel()(delayed(children.refuse)(n, refused) for n in range(100))
        return results

    outer = joblib.Parallel(n_jobs=4, backend="threading", return_as="generator")
    good = outer(delayed(call)(-1) for _ in range(4))
    with pytest.raises(children.Refusal):
        call(50)
    assert list(good) == [list(range(100))] * 4


def test_a_parallel_that_is_kept_goes_on_after_an_error() -> None:
    """`with Parallel() as parallel` has a working pool for its whole block."""
    with Parallel() as parallel:
        for _ in range(2):
            with pytest.raises(children.Refusal):
                parallel(delayed(children.refuse)(n, 3) for n in range(60))
            assert parallel(delayed(abs)(n) for n in range(60)) == list(range(60))


def test_an_unknown_argument_is_refused() -> None:
    """With the names of those there are."""
    with pytest.raises(TypeError, match=r"no argument 'max_workers'; it has .*idle_timeout"):
        joblib.parallel_config(backend="workpool", max_workers=3)
