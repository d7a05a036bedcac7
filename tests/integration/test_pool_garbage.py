"""A worker whose reports cannot be read is ended; nothing hangs, nothing is run twice."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests import children, recycling_children
from workpool import InternalError, SerializationError, WorkerCrashed, WorkerPool, _frames

Pool = WorkerPool[Any, Any]

GARBAGE = {
    "no kind": b"\xff" * 100,
    "huge": _frames.REPORT.pack((1 << 31) - 1, _frames.RESULT, 1, 0.0),
    "shorter than a report": b"\xff" * 5,
}


def report_into(errors: list[Any]) -> None:
    """Keep what the event loop's exception handler is told of."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: errors.append(context["exception"]))


@pytest.mark.parametrize("garbage", ["no kind", "huge"])
async def test_a_task_that_writes_into_the_reports_and_goes_on(
    garbage: str, tmp_path: Path
) -> None:
    """It is noticed at once: the worker is killed, the task fails and says why, once."""
    errors: list[Any] = []
    report_into(errors)
    note = str(tmp_path / "note")
    async with Pool(children.call_with_client, max_workers=1) as pool:
        pid = await pool.add_task((children.process_id,))
        work = (recycling_children.scribble_and_wait, GARBAGE[garbage], note)
        task, behind = pool.add_task(work), pool.add_task((children.process_id,))
        with pytest.raises(WorkerCrashed, match="reports could not be read"):
            await task
        assert await behind != pid
        assert pool.statistics().restarts == 1
    assert [type(error) for error in errors] == [InternalError]


@pytest.mark.parametrize("garbage", GARBAGE)
async def test_a_task_that_writes_into_the_reports_and_returns(
    garbage: str, tmp_path: Path
) -> None:
    """Its own report is lost with that: it fails, and is not run a second time."""
    errors: list[Any] = []
    report_into(errors)
    note = tmp_path / "note"
    async with Pool(children.call_with_client, max_workers=1) as pool:
        task = pool.add_task((recycling_children.scribble, GARBAGE[garbage], str(note)))
        with pytest.raises(WorkerCrashed, match="reports could not be read"):
            await task
        assert await pool.add_task((children.process_id,)) > 0
    assert note.read_text() == "."
    assert [type(error) for error in errors] == [InternalError]


async def test_what_lies_behind_the_garbage(tmp_path: Path) -> None:
    """What was reported before it counts; of the rest every task ends, and none runs twice."""
    errors: list[Any] = []
    report_into(errors)
    note = (recycling_children.note, str(tmp_path))
    scribble = (recycling_children.scribble, GARBAGE["no kind"], str(tmp_path / "20"))
    async with Pool(recycling_children.noting_client, max_workers=2) as pool:
        await asyncio.gather(*(pool.add_task((os.getpid,)) for _ in range(2)))
        work: list[tuple[Any, ...]] = [(*note, number) for number in range(40)]
        work[20] = scribble
        tasks = [pool.add_task(each) for each in work]
        await asyncio.sleep(0)
        time.sleep(0.2)  # everything is done and nothing of it has been read
        await asyncio.wait(tasks)
        assert isinstance(tasks[20].exception(), WorkerCrashed)
        lost = [task for task in tasks if task.exception() is not None]
        assert all(isinstance(task.exception(), WorkerCrashed) for task in lost)
        assert len(lost) < len(tasks)
        assert await pool.add_task((os.getpid,)) > 0
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        str(number): "." for number in range(40)
    }
    assert [type(error) for error in errors] == [InternalError]


async def test_an_error_that_cannot_be_read() -> None:
    """A report that is one, about an exception that is none: its task fails, its worker lives."""
    work = (recycling_children.report_nonsense, _frames.ERROR, b"no pickle")
    async with Pool(children.call_with_client, max_workers=1) as pool:
        pid = await pool.add_task((children.process_id,))
        with pytest.raises(SerializationError, match="exception"):
            await pool.add_task(work)
        assert await pool.add_task((children.process_id,)) == pid


@pytest.mark.parametrize("kind", [_frames.RESULT, _frames.ERROR])
@pytest.mark.parametrize("note", [b"", b"\xff" * 17])
async def test_a_note_about_what_is_not_on_the_belt(kind: int, note: bytes) -> None:
    """Its task fails with the reason; what really comes by the belt afterwards is whole."""
    work = (recycling_children.report_nonsense, kind | _frames.ON_BELT, note)
    async with Pool(children.call_with_client, max_workers=1) as pool:
        pid = await pool.add_task((children.process_id,))
        with pytest.raises(InternalError, match="note"):
            await pool.add_task(work)
        large = await pool.add_task((recycling_children.large_result, 100_000))
        assert large == b"x" * 100_000
        assert await pool.add_task((children.process_id,)) == pid


@pytest.mark.parametrize("fail", [False, True], ids=["result", "error"])
@pytest.mark.parametrize("content", [b"", b"no parcel at all"])
async def test_a_parcel_that_cannot_be_read(fail: bool, content: bytes) -> None:
    """Its task fails with the reason; the pool goes on."""
    work = (recycling_children.send_nonsense, content, fail)
    async with Pool(children.call_with_client, max_workers=1) as pool:
        pid = await pool.add_task((children.process_id,))
        with pytest.raises(InternalError, match=f"{len(content)} bytes"):
            await pool.add_task(work)
        assert await pool.add_task((children.process_id,)) == pid


async def test_a_worker_that_has_become_another_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """It will never report: it is ended instead of waited for."""
    monkeypatch.setattr("workpool._fleet.CUT_OFF_GRACE", 0.05)
    async with Pool(children.call_with_client, max_workers=1) as pool:
        with pytest.raises(WorkerCrashed, match="closed its report pipe"):
            await pool.add_task((recycling_children.become_another_program,))
        assert await pool.add_task((children.process_id,)) > 0
