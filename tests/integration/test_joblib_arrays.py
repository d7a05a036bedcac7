"""Arrays through the joblib backend: large ones are written once, and leave nothing behind."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from joblib import delayed

import workpool.joblib
from tests import joblib_children as children
from tests.children import Gate

pytestmark = pytest.mark.once

LARGE = 1 << 18  # numbers of 8 bytes: two megabytes, and joblib's `max_nbytes` is one

Parallel = partial(joblib.Parallel, n_jobs=2, backend="workpool", batch_size=1)


@pytest.fixture(scope="module", autouse=True)
def warm_workers() -> Iterator[None]:
    """Start the two workers that all tests here share, so that no test is said to have left them."""
    Parallel(pre_dispatch="all")(delayed(time.sleep)(0.3) for _ in range(4))
    yield
    workpool.joblib.close()


def large(shape: Any = LARGE) -> Any:
    return np.arange(LARGE, dtype=float).reshape(shape)


def descriptors_of_arrays() -> list[str]:
    """Return what this process has open of arrays' memory."""
    links = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed just now
            links.append(str(descriptor.readlink()))
    return [link for link in links if "workpool-array" in link]


def test_a_large_array_is_written_once() -> None:
    """All tasks that take it, wherever in their arguments, map the same memory."""
    array = large()
    model = children.Model(array)
    calls = [delayed(children.memory_behind)(array) for _ in range(10)]
    calls += [delayed(children.memory_behind)(array[:]) for _ in range(10)]
    calls += [delayed(model.memory)() for _ in range(10)]
    assert len(set(Parallel()(calls))) == 1


def test_nothing_is_left_of_an_array(gate: Gate) -> None:
    """No descriptor when the call is over, and no file of joblib's at any time."""
    array = large()
    calls = [delayed(children.total)(array), delayed(children.total_behind)(gate, array)]
    results = Parallel(return_as="generator")(calls)
    assert next(results) == array.sum()
    gate.arrived_blocking()
    assert len(descriptors_of_arrays()) == 1
    assert list(Path("/dev/shm").glob(f"joblib_memmapping_folder_{os.getpid()}_*")) == []
    gate.open()
    assert list(results) == [array.sum()]
    assert descriptors_of_arrays() == []


def test_arrays_that_are_made_for_their_task_do_not_pile_up() -> None:
    """Their memory is let go of when their task has ended: at most those in flight are there."""
    most = 0

    def source() -> Iterator[Any]:
        nonlocal most
        for n in range(40):
            most = max(most, len(descriptors_of_arrays()))
            yield delayed(children.total)(np.full(LARGE, float(n)))

    assert Parallel()(source()) == [float(n * LARGE) for n in range(40)]
    assert 1 <= most <= 6  # 4 are dispatched ahead, one is kept, one was being let go of


def test_arrays_of_large_batches_do_not_take_all_descriptors(gate: Gate) -> None:
    """Those above a number travel with their task."""
    arrays = [np.full(1 << 15, float(n)) for n in range(100)]
    calls = [delayed(children.total)(array) for array in arrays]
    for last in (49, 99):  # of the two batches
        calls[last] = delayed(children.total_behind)(gate, arrays[last])
    options = {"batch_size": 100, "pre_dispatch": "all", "return_as": "generator"}
    totals = Parallel(**options)(calls)
    gate.arrived_blocking(2)
    assert len(descriptors_of_arrays()) == 64
    gate.open(2)
    assert list(totals) == [array.sum() for array in arrays]


def test_an_array_that_changes_between_calls_is_written_again() -> None:
    """Also under a `Parallel` that is kept."""
    array = large()
    with Parallel() as parallel:
        for number in (1.0, 2.0):
            array[:] = number
            calls = (delayed(children.total)(array) for _ in range(4))
            assert parallel(calls) == [number * LARGE] * 4


def test_a_task_may_write_into_its_array() -> None:
    """Nobody else sees that, be it large or small."""
    for array in (large() + 1, np.ones(10)):
        calls = (delayed(children.set_first)(array, -1.0) for _ in range(10))
        assert Parallel()(calls) == [1.0] * 10
        assert array[0] == 1.0


def test_tasks_share_what_they_write_if_asked_to() -> None:
    """With `mmap_mode="r+"` each sees the others' writing, as joblib has it; the caller does not."""
    array = large() + 1
    calls = (delayed(children.set_first)(array, -1.0) for _ in range(10))
    assert -1.0 in Parallel(mmap_mode="r+")(calls)
    assert array[0] == 1.0


@pytest.mark.parametrize("never", [{"max_nbytes": None}, {"mmap_mode": None}, {"max_nbytes": "1G"}])
def test_arrays_below_the_limit_travel_with_their_task(never: dict[str, Any]) -> None:
    """Each task has its own copy of them, to write to."""
    array = large()
    calls = (delayed(children.set_first)(array, 7.0) for _ in range(4))
    assert Parallel(**never)(calls) == [0.0] * 4
    assert array[0] == 0.0


@pytest.mark.parametrize(
    "array",
    [
        large((512, -1)),
        np.asfortranarray(large((512, -1))),
        large((512, -1))[::2, ::-1],
        large((8, 64, -1)).transpose(1, 0, 2),
        large().astype("datetime64[s]"),
        large().astype([("a", ">f4"), ("b", "i2")]),
        np.array([None, "text"] * LARGE, dtype=object),
    ],
    ids=["C", "F", "strided", "transposed", "dates", "records", "objects"],
)
def test_an_array_arrives_as_it_was(array: Any) -> None:
    """Whatever its type and order."""
    (arrived,) = Parallel()([delayed(np.copy)(array, order="K")])
    assert (arrived.dtype, arrived.shape) == (array.dtype, array.shape)
    assert np.array_equal(arrived, array)


def test_an_array_over_a_file_stays_one(tmp_path: Path) -> None:
    """What tasks write into a `numpy.memmap`, or a part of one, is in the file."""
    file: Any = np.memmap(tmp_path / "file", float, "w+", offset=64, shape=(6, 4))
    Parallel()(delayed(children.set_row)(file, row) for row in range(3))
    Parallel()(delayed(children.set_row)(np.asarray(file)[3:, ::-2], row) for row in range(3))
    assert file[:3].tolist() == [[row] * 4 for row in range(3)]
    assert file[3:].tolist() == [[0.0, row, 0.0, row] for row in range(3)]
    assert np.array_equal(np.fromfile(tmp_path / "file", offset=64).reshape(6, 4), file)


def test_what_only_the_caller_has_written_over_a_file_arrives(tmp_path: Path) -> None:
    """A private mapping (mode "c") is not what is in its file."""
    np.zeros(10).tofile(tmp_path / "file")
    private: Any = np.memmap(tmp_path / "file", float, "c")
    private[0] = 5
    assert Parallel()([delayed(children.total)(private)]) == [5.0]
