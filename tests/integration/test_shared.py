"""Shared objects: written once, mapped once by each worker, gone when nobody needs them."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import pytest

import workpool
from tests import payload_children as children
from tests.children import Gate, call, call_async
from workpool import (
    Executor,
    RetryPolicy,
    SerializationError,
    WorkerPool,
    _attached,
    _shared,
    share,
    sync,
)

Pool = WorkerPool[Any, Any]


def numbers(first: float = 0) -> Any:
    return numpy.arange(first, first + 100_000)


async def mappings(pool: Pool) -> list[str]:
    """Return the shared files that the pool's only worker has mapped."""
    found: list[str] = await pool.add_task((children.shared_mappings, None))
    return found


@pytest.mark.parametrize("entrypoint", [call, call_async])
async def test_tasks_get_the_object_itself(entrypoint: Any) -> None:
    """Alone or within their argument, read-only, in memory that each worker maps once."""
    array = numbers()
    async with Pool(entrypoint, max_workers=2) as pool:
        with share(array) as shared:
            nested = (lambda item: float(item["deep"][0][5]), {"deep": [shared]})
            assert await pool.add_task(nested) == 5
            assert "read-only" in await pool.add_task((children.try_to_write, shared))
            work = [(children.shared_mappings, shared)] * 40
            files = await asyncio.gather(*map(pool.add_task, work))
    assert {len(found) for found in files} == {1}
    assert len({found[0] for found in files}) == 1
    assert array[0] == 0


@pytest.mark.parametrize(
    "value",
    [
        {"weights": numbers(), "name": "model", "layers": [1, 2]},
        b"x" * 300_000,
        "text" * 100_000,
        bytearray(300_000),
        7,
        [numbers(), numbers(5)],
    ],
    ids=["model", "bytes", "text", "bytearray", "small", "arrays"],
)
async def test_any_object_that_can_be_pickled_can_be_shared(value: Any) -> None:
    """It arrives with its type and content."""
    async with Pool(call, max_workers=1) as pool:
        with share(value) as shared:
            for _ in range(2):
                arrived = await pool.add_task((children.same, shared))
                assert pickle.dumps(arrived) == pickle.dumps(shared.get())
                assert type(arrived) is type(value)


@dataclass
class Model:
    """What has arrays."""

    weights: Any
    others: list[Any]


def grid() -> Any:
    return numpy.arange(60_000.0).reshape(200, 300)


class Grid(numpy.ndarray):
    """A subclass that adds nothing to what is pickled."""


def records() -> Any:
    return numpy.zeros(20_000, dtype=[("a", "i4"), ("b", "f8")]).view(numpy.recarray)


def on_disk(directory: Path) -> Any:
    """Return an array of a file, with gaps."""
    grid().tofile(directory / "grid")
    return numpy.memmap(directory / "grid", float, "r", shape=(200, 300))[::2]


def arrays_of_every_kind(directory: Path) -> dict[str, Any]:
    return {
        "steps": grid()[::2, ::3],
        "columns": grid()[:, :299],
        "backwards": grid()[::-1],
        "axes": grid().reshape(20, 30, 100).transpose(0, 2, 1),
        "broadcast": numpy.broadcast_to(numpy.arange(300), (200, 300)),
        "file": on_disk(directory),
        "records": records()[::2],
        "class": grid().view(Grid),
        "days": numpy.arange(60_000).astype("M8[D]").reshape(200, 300).T,
        "some days": numpy.arange(60_000).astype(">m8[s]")[::2],
    }


async def test_arrays_are_mapped_however_they_lie_in_memory(tmp_path: Path) -> None:
    """With gaps, of a subclass, of dates; in whatever object, one that travels by value too."""
    arrays = arrays_of_every_kind(tmp_path)
    values = list(arrays.values())
    mapped = dict.fromkeys(arrays, True)
    async with Pool(call, max_workers=1) as pool:
        with share(arrays) as shared:
            work: Any = (lambda found: children.are_mapped(list(found.values())), shared)
            assert dict(zip(arrays, await pool.add_task(work), strict=True)) == mapped
            for name, arrived in shared.get().items():
                assert numpy.array_equal(arrived, arrays[name]), name
                assert type(arrived) is type(arrays[name]), name
                assert arrived.dtype == arrays[name].dtype, name
        with share(Model(values[0], values)) as shared_model:
            work = (lambda model: children.are_mapped([model.weights, *model.others]), shared_model)
            assert all(await pool.add_task(work))
            got = shared_model.get()
            assert got.weights is got.others[0], "what is one array is one there"
        with share(lambda: values) as by_value:
            work = (lambda function: children.are_mapped(function()), by_value)
            assert await pool.add_task(work) == [True] * len(values)
    assert values[0].flags.writeable


async def test_an_array_that_says_how_it_is_pickled_is_pickled_so() -> None:
    """Small ones, those of objects, and subclasses with a state of their own are left alone."""
    masked: Any = numpy.ma.masked_less(grid()[::2], 300)
    objects: Any = numpy.array([[1], None] * 20_000, dtype=object)[::2]
    small: Any = numpy.arange(10)[::2]
    with share([masked, objects, small]) as shared:
        arrived = shared.get()
    assert (arrived[0].mask == masked.mask).all()
    assert list(arrived[1]) == list(objects)
    assert list(arrived[2]) == list(small)


async def test_no_task_sees_what_another_did_to_it() -> None:
    """What is not mapped is made anew for each task; what cannot be changed is made once."""
    async with Pool(call, max_workers=1) as pool:
        with share({"a": 1}) as values:
            for _ in range(3):
                assert await pool.add_task((children.put_into, values)) == ["a"]
        with share(b"x" * 300_000) as data:
            same = [await pool.add_task((children.identity_of, data)) for _ in range(3)]
            assert len(set(same)) == 1


async def test_closing_gives_the_memory_back() -> None:
    """A worker lets go of its mapping, also one that nothing else wakes."""
    async with Pool(call, max_workers=1) as pool:
        shared = share(numbers())
        assert await pool.add_task((children.first_number, shared)) == 0
        assert len(await mappings(pool)) == 1
        shared.close()
        shared.close()
        assert shared.closed
        await nothing_mapped(pool)


async def test_the_last_task_frees_what_nobody_holds() -> None:
    """Without `close` the memory lasts as long as the tasks that take it."""
    async with Pool(call, max_workers=1) as pool:
        work = [(children.first_number, shared) for shared in [share(numbers(3))] * 5]
        tasks = [pool.add_task(item) for item in work]
        del work
        gc.collect()
        assert await asyncio.gather(*tasks) == [3] * 5
        del tasks
        gc.collect()
        await nothing_mapped(pool)
        assert not [name for name in names_of_descriptors() if "workpool-shared" in name]


async def nothing_mapped(pool: Pool) -> None:
    """Wait until the worker has let go. A task may be taken before the mail that says so is read."""
    while await mappings(pool):
        pass


def names_of_descriptors() -> list[str]:
    found = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(link.readlink()))
        except FileNotFoundError:  # that of the listing
            continue
    return found


async def test_a_running_task_keeps_what_it_has(gate: Gate) -> None:
    """Closed meanwhile, its array is as it was, and freed with the task."""
    async with Pool(call, max_workers=1) as pool:
        shared = share(numbers(4))
        running = pool.add_task((children.pass_and_take, gate, shared))
        await gate.arrived()
        shared.close()
        gate.open()
        assert (await running)[1] == 4
        await nothing_mapped(pool)


async def test_closed_before_a_task_could_take_it(gate: Gate) -> None:
    """Tasks that wait in a queue, and those added later, fail with words that say what to do."""
    async with Pool(call, max_workers=1) as pool:
        first = pool.add_task((children.pass_and_take, gate, numbers()))
        await gate.arrived()
        with share(numbers()) as shared:
            queued = pool.add_task((children.first_number, shared))
            await asyncio.sleep(0)  # its token is in the queue now
        late = pool.add_task((children.first_number, shared))
        gate.open()
        await first
        for task in (queued, late):
            with pytest.raises(SerializationError, match=r"closed.*'with'"):
                await task
        assert await pool.add_task((children.first_number, numbers())) == 0
    with pytest.raises(SerializationError, match="closed"):
        shared.get()


async def test_a_number_that_is_another_files_by_now_is_noticed(gate: Gate) -> None:
    """The descriptor of a closed object may be another object's when a task looks for it."""
    async with Pool(call, max_workers=1) as pool:
        first = pool.add_task((children.pass_and_take, gate, numbers()))
        await gate.arrived()
        shared = share(numbers())
        queued = pool.add_task((children.first_number, shared))
        await asyncio.sleep(0)
        number = shared._descriptor
        shared.close()
        with share(numbers(9)) as other:
            assert other._descriptor == number
            gate.open()
            await first
            with pytest.raises(SerializationError, match="closed"):
                await queued


async def test_what_a_process_unpickles_for_itself_goes_with_its_last_use() -> None:
    """In the pool's process nobody says when an object is closed: the memory is not kept for that."""
    async with Pool(call, max_workers=1) as pool:
        for _ in range(2):
            result = await pool.add_task((children.share_and_hold, numbers(3)))
            assert result[5] == 8
            assert len(children.shared_mappings()) == 1
            del result
            await asyncio.sleep(0)  # the event loop has the task while it wakes us
            assert children.shared_mappings() == []
        with share(numbers()) as inner, share([inner]) as outer:
            makers: list[Any] = [outer.get, lambda: pickle.loads(pickle.dumps([inner]))]
            for make in makers:
                made = make()
                assert made[0][7] == 7
                del made
        assert children.shared_mappings() == []
        assert not [name for name in names_of_descriptors() if "workpool-shared" in name]


@pytest.mark.parametrize("is_worker", [True, False])
@pytest.mark.parametrize("is_told", [True, False])
def test_only_who_is_told_of_the_end_keeps_a_mapping(
    is_worker: bool, is_told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker, of an object in a process that has pools; anybody else maps it for one use."""
    if is_worker:
        monkeypatch.setitem(sys.modules, "workpool._worker.worker", sys)
    else:
        monkeypatch.delitem(sys.modules, "workpool._worker.worker", raising=False)
    with share(numbers(1)) as shared:
        get = partial(_attached.attached, os.getpid(), shared._descriptor, shared._tag, is_told)
        try:
            assert [get()[0], get()[0]] == [1, 1]
            assert (len(children.shared_mappings()) == 1) is (is_worker and is_told)
        finally:
            _attached.forget(shared._tag)
        assert children.shared_mappings() == []


async def test_what_is_in_a_shared_object_lives_as_long_as_it() -> None:
    """Though nobody else holds the inner one; closing the outer lets go of it."""
    async with Pool(call, max_workers=1) as pool:
        outer: Any = share([share(share(numbers(2)))])
        gc.collect()
        for _ in range(2):
            assert await pool.add_task((lambda item: float(item[0][1]), outer)) == 3
        assert outer.get()[0][1] == 3
        outer.close()
        await nothing_mapped(pool)
        assert not [name for name in names_of_descriptors() if "workpool-shared" in name]
        inner = share(numbers())
        with share([inner]) as outer:
            inner.close()
            with pytest.raises(SerializationError, match=r"closed before.*'with'"):
                await pool.add_task((len, outer))
            with pytest.raises(SerializationError, match=r"closed before"):
                outer.get()


@pytest.mark.parametrize("failure", ["die_the_first_time", "fail_the_first_time"])
async def test_it_outlives_workers_and_retries(failure: str, tmp_path: Path) -> None:
    """A task that runs again, in a new worker too, finds the same object."""
    async with Pool(call, max_workers=2, retries=RetryPolicy(2)) as pool:
        with share(numbers(6)) as shared:
            work = [
                (getattr(children, failure), str(tmp_path / str(number)), shared)
                for number in range(2)
            ]
            assert await asyncio.gather(*map(pool.add_task, work)) == [6] * 2


async def test_a_thief_finds_it_too(gate: Gate) -> None:
    """Tasks queued behind a stuck one are stolen, shared object and all."""
    async with Pool(call, max_workers=2) as pool:
        with share(numbers(2)) as shared:
            stuck = pool.add_task((children.pass_and_take, gate, shared))
            [pid] = await gate.arrived()
            others = [pool.add_task((children.first_number, shared)) for _ in range(50)]
            assert await asyncio.gather(*others) == [2] * 50
            gate.open()
            assert await stuck == (pid, 2)


async def test_a_pool_may_end_before_it(gate: Gate) -> None:
    """And another may take it up; killing a pool does nothing to it."""
    with share(numbers(1)) as shared:
        for end in ("aclose", "kill"):
            pool = Pool(call, max_workers=1)
            assert await pool.add_task((children.first_number, shared)) == 1
            ended = getattr(pool, end)()
            if ended is not None:
                await ended
            await pool.aclose()
        assert shared.get()[0] == 1


def test_every_pool_takes_it() -> None:
    """The blocking pool, the executor and its `map`."""
    with share(numbers(8)) as shared:
        with sync.WorkerPool[Any, Any](call, max_workers=1) as pool:
            assert pool.add_task((children.first_number, shared)).result() == 8
        with Executor(max_workers=1) as executor:
            assert executor.submit(children.first_number, shared).result() == 8
            assert list(executor.map(children.first_number, [shared] * 3)) == [8] * 3


async def test_where_workers_may_not_look_it_travels_with_each_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process that has changed its user, say: slower, and not shared, but nothing fails."""
    monkeypatch.setattr(_shared, "_others_may_open", lambda: False)
    async with Pool(call, max_workers=1) as pool:
        with share({"array": numbers(5), "small": [1]}) as shared:
            arrived = await pool.add_task((children.same, shared))
            assert arrived["array"][0] == 5
            assert arrived["small"] == [1]
            assert await mappings(pool) == []


def test_what_cannot_be_pickled_cannot_be_shared() -> None:
    """The error comes from `share`, and nothing is left."""
    with pytest.raises(SerializationError, match=r"shared object .*generator"):
        share(number for number in range(3))


def test_no_room_is_an_error_that_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No memory, no descriptor: `share` raises what the system says."""

    def no_space(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    for call_of_the_system in ("pwrite", "memfd_create", "ftruncate"):
        with monkeypatch.context() as patch:
            patch.setattr(os, call_of_the_system, no_space)
            with pytest.raises(OSError, match=r"No space.* object of .* bytes could not be shared"):
                share(numbers())


def test_an_object_says_what_it_is() -> None:
    """Its size and whether it is open."""
    with workpool.share(numbers()) as shared:
        assert numbers().nbytes < shared.nbytes < numbers().nbytes + 1000
        assert str(shared.nbytes) in repr(shared)
        assert not shared.get().flags.writeable
    assert "closed" in repr(shared)
    with pytest.raises(SerializationError, match="closed"), shared:
        pass
