"""The job of the command line on a pool that the test plays by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable

from workpool.cli._job import InvalidInputError, Job
from workpool.cli._records import Record
from workpool.cli._window import Window
from workpool.errors import EntrypointError


class HandPool:
    """Tasks that end when the test says so."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Future[object]] = []
        self.arguments: list[object] = []

    def add_task(self, arg: object) -> asyncio.Future[object]:
        task: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.tasks.append(task)
        self.arguments.append(arg)
        return task


class Stage:
    """A job, its pool, and what it has written."""

    def __init__(
        self, *, ordered: bool = True, keep_going: bool = False, max_inputs: int = 100
    ) -> None:
        self.pool = HandPool()
        self.lines: list[str] = []
        self.window = Window(ordered=ordered, max_inputs=max_inputs, max_bytes=1 << 20)
        self.job = Job(self.pool, self.window, self._write, ordered=ordered, keep_going=keep_going)
        self.running: asyncio.Task[None] | None = None

    def _write(self, lines: list[bytes]) -> None:
        self.lines += [line.decode().rstrip("\n") for line in lines]
        size = sum(map(len, lines))
        asyncio.get_running_loop().call_soon(self.job.note_written, len(lines), size)

    async def start(self, inputs: Iterable[object]) -> None:
        self.running = asyncio.create_task(self.job.run(batches(inputs)))
        await settle()

    async def end(self) -> None:
        assert self.running is not None
        await self.running


async def batches(inputs: Iterable[object]) -> AsyncIterator[list[Record]]:
    for number, value in enumerate(inputs, 1):
        yield [value if isinstance(value, Record) else Record(f"line {number}", value, 1)]
    await asyncio.sleep(0)


async def endless() -> AsyncIterator[list[Record]]:
    while True:
        yield [Record("line", "y", 1)]


async def settle() -> None:
    """Let everything that can happen in the loop happen."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_results_are_written_in_input_order() -> None:
    """A later result waits for an earlier one."""
    stage = Stage()
    await stage.start("abc")
    stage.pool.tasks[2].set_result("C")
    stage.pool.tasks[0].set_result("A")
    await settle()
    assert stage.lines == ['"A"']
    stage.pool.tasks[1].set_result("B")
    await stage.end()
    assert stage.lines == ['"A"', '"B"', '"C"']
    assert (stage.job.finished, stage.job.failed, stage.job.total) == (3, 0, 3)


async def test_no_input_at_all_is_a_success() -> None:
    """An empty source ends the job at once."""
    stage = Stage()
    await stage.start([])
    await stage.end()
    assert stage.job.failure is None
    assert stage.lines == []


async def test_an_endless_source_is_read_no_further_than_the_window() -> None:
    """A stuck first task stops the reading; its end lets it go on."""
    stage = Stage(max_inputs=4)
    running = asyncio.create_task(stage.job.run(endless()))
    await settle()
    for task in stage.pool.tasks[1:]:
        task.set_result(0)
    await settle()
    assert len(stage.pool.tasks) == 4
    stage.pool.tasks[0].set_result(0)
    await settle()
    assert len(stage.pool.tasks) == 8
    stage.job.interrupt()
    await running


async def test_a_failure_lets_what_came_before_it_finish_and_cancels_the_rest() -> None:
    """The outcome is that of one input after the other, whatever the timing."""
    stage = Stage()
    await stage.start("abcd")
    first, second, third, fourth = stage.pool.tasks
    third.set_result("C")
    second.set_exception(ValueError("no b"))
    await settle()
    assert fourth.cancelled()
    assert not first.cancelled()
    first.set_result("A")
    await stage.end()
    assert stage.lines == ['"A"']
    assert stage.job.failure is not None
    assert stage.job.failure.record.value == "b"


async def test_of_two_failures_the_one_of_the_earlier_input_counts() -> None:
    """Which failure is told does not depend on which task was faster."""
    stage = Stage()
    await stage.start("ab")
    stage.pool.tasks[1].set_exception(ValueError("later"))
    await settle()
    stage.pool.tasks[0].set_exception(ValueError("earlier"))
    await stage.end()
    assert stage.job.failure is not None
    assert str(stage.job.failure.error) == "earlier"


async def test_an_unordered_job_ends_at_its_first_failure() -> None:
    """Without order there is no earlier input to wait for."""
    stage = Stage(ordered=False)
    await stage.start("abc")
    stage.pool.tasks[2].set_result("C")
    await settle()
    stage.pool.tasks[1].set_exception(ValueError("no b"))
    await stage.end()
    assert stage.pool.tasks[0].cancelled()
    assert stage.lines == ['"C"']


async def test_a_kept_going_job_has_an_error_record_in_the_failed_inputs_place() -> None:
    """Task errors, bad inputs and results that are not JSON all become records."""
    stage = Stage(keep_going=True)
    bad = Record("line 2", "{", 1, "line 2 is not JSON: ...")
    await stage.start(["a", bad, "c", "d"])
    for task, result in zip(stage.pool.tasks, ["A", b"bytes", "D"], strict=True):
        task.set_result(result)
    await stage.end()
    records = [json.loads(line) for line in stage.lines]
    assert records[0] == "A"
    assert records[1]["error"]["type"] == InvalidInputError.__name__
    assert records[2]["error"]["type"] == "ResultNotJSONError"
    assert records[2]["input"] == "c"
    assert records[3] == "D"
    assert (stage.job.finished, stage.job.failed) == (4, 2)


async def test_an_unusable_entrypoint_ends_even_a_kept_going_job() -> None:
    """An endless input must not become endless identical records."""
    stage = Stage(keep_going=True)
    running = asyncio.create_task(stage.job.run(endless()))
    await settle()
    stage.pool.tasks[0].set_exception(EntrypointError("no such module"))
    await running
    assert stage.job.failure is not None
    assert isinstance(stage.job.failure.error, EntrypointError)
    assert stage.lines == []


async def test_an_interrupted_job_writes_what_is_done_in_order() -> None:
    """Nothing finished is lost to an unfinished earlier input."""
    stage = Stage()
    await stage.start("abcd")
    stage.pool.tasks[3].set_result("D")
    stage.pool.tasks[1].set_result("B")
    await settle()
    stage.job.interrupt()
    await stage.end()
    assert stage.lines == ['"B"', '"D"']
    assert stage.job.unfinished == 2
    assert stage.pool.tasks[0].cancelled()


async def test_an_interrupted_job_that_keeps_going_keeps_the_places() -> None:
    """With error records every line stands for its input, so the unfinished get one."""
    stage = Stage(keep_going=True)
    await stage.start("abc")
    stage.pool.tasks[1].set_result("B")
    await settle()
    stage.job.interrupt()
    await stage.end()
    records = [json.loads(line) for line in stage.lines]
    assert records[0]["error"]["type"] == "NotFinishedError"
    assert records[0]["input"] == "a"
    assert records[1:] == ["B"]


async def test_a_source_that_breaks_lets_what_was_read_finish() -> None:
    """An unexpected error of the source ends the job and is kept; nothing hangs."""

    async def broken() -> AsyncIterator[list[Record]]:
        yield [Record("line 1", "a", 1)]
        raise RuntimeError("broken")

    stage = Stage()
    await stage.job.run(broken())
    assert isinstance(stage.job.fatal, RuntimeError)
