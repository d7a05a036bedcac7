"""What workers print and log is seen where the parent prints and logs."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests import children
from tests.children import Gate, call
from workpool import WorkerHandle, WorkerPool

Pool = WorkerPool[Any, Any]


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """Return a logger of this test alone, left as it was found."""
    logger = logging.getLogger("tests.of.workers")
    yield logger
    logger.setLevel(logging.NOTSET)


# Printing


async def test_inherited_output(capfd: pytest.CaptureFixture[str]) -> None:
    """By default workers write to the parent's own standard output and error."""
    async with Pool(call, max_workers=1) as pool:
        await pool.add_task((children.say, "to the output"))
        await pool.add_task((children.say_error, "to the error"))
        await pool.add_task((children.write_raw, b"raw\n"))
    out, err = capfd.readouterr()
    assert out == "to the output\nraw\n"
    assert err == "to the error\n"


async def test_inherited_output_is_live(capfd: pytest.CaptureFixture[str], gate: Gate) -> None:
    """A line is there as soon as it was printed, also if the output is not a terminal."""
    async with Pool(call, max_workers=1) as pool:
        task = pool.add_task((children.say_and_pass, "first words", gate))
        await gate.arrived()
        assert capfd.readouterr().out == "first words\n"
        gate.open()
        await task


async def test_forwarded_output(capsys: pytest.CaptureFixture[str]) -> None:
    """With "forward" every line goes through this process's `sys.stdout` or `sys.stderr`."""
    async with Pool(call, max_workers=1, worker_output="forward", name="p") as pool:
        await pool.add_task((children.say, "one\ntwo"))
        await pool.add_task((children.say_error, "to the error"))
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert [line.partition("] ")[2] for line in lines] == ["one", "two"]
    assert all("worker 0" in line for line in (*lines, err))
    assert err.endswith("to the error\n")


async def test_forwarding_follows_a_replaced_stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is `sys.stdout` at the time of printing that counts, as in notebooks."""

    class Notebook:
        def __init__(self) -> None:
            self.text = ""

        def write(self, text: str) -> int:
            self.text += text
            return len(text)

        def flush(self) -> None:
            pass

    async with Pool(call, max_workers=1, worker_output="forward") as pool:
        for text in ("first", "second"):
            notebook = Notebook()
            monkeypatch.setattr(sys, "stdout", notebook)
            await pool.add_task((children.say, text))
            while text not in notebook.text:
                await asyncio.sleep(0.002)
            assert notebook.text.endswith(f"{text}\n")


async def test_output_to_a_function(gate: Gate) -> None:
    """A callable gets (worker, stream, line), live, in order per stream."""
    came: asyncio.Queue[tuple[WorkerHandle, str, str]] = asyncio.Queue()

    def take(worker: WorkerHandle, stream: str, line: str) -> None:
        came.put_nowait((worker, stream, line))

    async with Pool(call, max_workers=1, worker_output=take) as pool:
        task = pool.add_task((children.say_and_pass, "live", gate))
        await gate.arrived()
        [worker] = pool.workers
        assert await came.get() == (worker, "stdout", "live")
        assert not task.done()
        gate.open()
        await task
        await pool.add_task((children.say, "\n".join(map(str, range(3000)))))
        assert [(await came.get())[2] for _ in range(3000)] == list(map(str, range(3000)))
        await pool.add_task((children.say_error, "wrong"))
        assert await came.get() == (worker, "stderr", "wrong")
        await pool.add_task((children.write_raw, b"from a program\r\n\xff\n"))
        assert [(await came.get())[2] for _ in range(2)] == [
            "from a program",
            "\N{REPLACEMENT CHARACTER}",
        ]


async def test_unfinished_lines() -> None:
    """A line is passed on whole when it is finished, or when its worker ends."""
    lines: list[tuple[str, str]] = []
    pool = Pool(
        call, max_workers=1, worker_output=lambda _w, stream, line: lines.append((stream, line))
    )
    async with pool:
        await pool.add_task((children.say_unfinished, "begin"))
        await pool.add_task((children.say_unfinished, " middle"))
        await pool.add_task((children.say, " end"))
        await pool.add_task((children.say_unfinished, "last words"))
    assert lines == [("stdout", "begin middle end"), ("stdout", "last words")]


async def test_a_line_without_end_is_bounded() -> None:
    """A very long line comes in pieces instead of being kept; nothing of it is lost."""
    pieces: list[str] = []
    async with Pool(call, max_workers=1, worker_output=lambda *a: pieces.append(a[2])) as pool:
        await pool.add_task((children.write_much, 1_000_000))
    assert "".join(pieces) == "x" * 1_000_000
    assert len(pieces) > 1


async def test_the_last_words_of_a_worker_that_crashes() -> None:
    """What was printed before a crash is passed on."""
    lines: list[str] = []
    async with Pool(call, max_workers=1, worker_output=lambda *a: lines.append(a[2])) as pool:
        task = pool.add_task((children.say_and_die, "last words"))
        await asyncio.wait([task])
        assert task.exception() is not None
    assert lines == ["last words"]


async def test_an_output_function_that_raises_is_reported() -> None:
    """The error goes to the loop's exception handler; tasks are not affected."""
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))

    def refuse(*_: Any) -> None:
        raise ValueError("I do not print")

    async with Pool(call, max_workers=1, worker_output=refuse) as pool:
        await pool.add_task((children.say, "anything"))
        assert await pool.add_task((children.double, 2)) == 4
    assert [str(context["exception"]) for context in reported] == ["I do not print"]


async def test_a_pool_that_prints_much_does_not_stop(capsys: pytest.CaptureFixture[str]) -> None:
    """More output than a pipe holds, while the loop is busy with results."""
    async with Pool(call, max_workers=2, worker_output="forward") as pool:
        tasks = [pool.add_task((children.say, "y" * 1000)) for _ in range(500)]
        await asyncio.gather(*tasks)
    assert capsys.readouterr().out.count("y" * 1000) == 500


# Logging


async def test_records_reach_the_parents_handlers(
    caplog: pytest.LogCaptureFixture, logger: logging.Logger
) -> None:
    """A record keeps name, level, message, time and the worker's process id."""
    logger.setLevel(logging.INFO)
    async with Pool(call, max_workers=1) as pool:
        pid = await pool.add_task((children.log, logger.name, logging.INFO, "%s and %d", "a", 2))
        await pool.add_task((children.log, logger.name, logging.ERROR, "bad"))
        records = [record for record in caplog.records if record.name == logger.name]
    assert [record.getMessage() for record in records] == ["a and 2", "bad"]
    assert [record.levelno for record in records] == [logging.INFO, logging.ERROR]
    assert {record.process for record in records} == {pid}
    assert pid != os.getpid()
    assert all(record.filename == "children.py" for record in records)


async def test_records_with_a_traceback(
    caplog: pytest.LogCaptureFixture, logger: logging.Logger
) -> None:
    """`logger.exception` shows the worker's traceback in the parent."""
    async with Pool(call, max_workers=1) as pool:
        await pool.add_task((children.log_exception, logger.name))
    [record] = [record for record in caplog.records if record.name == logger.name]
    assert record.getMessage() == "it went wrong"
    assert "raise_value_error" in caplog.text
    assert "ValueError: to be logged" in caplog.text


@pytest.mark.parametrize("level", [logging.DEBUG, logging.WARNING, logging.ERROR])
async def test_levels_are_those_of_the_parent(
    caplog: pytest.LogCaptureFixture, logger: logging.Logger, level: int
) -> None:
    """A worker does not send what the parent's logger would not take."""
    logger.setLevel(level)
    levels = [logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR]
    async with Pool(call, max_workers=1) as pool:
        for each in levels:
            await pool.add_task((children.log, logger.name, each, "a record"))
    seen = [record.levelno for record in caplog.records if record.name == logger.name]
    assert seen == [each for each in levels if each >= level]


async def test_records_that_cannot_be_pickled_arrive_as_text(
    caplog: pytest.LogCaptureFixture, logger: logging.Logger
) -> None:
    """Arguments of a record are put into the text by the worker."""
    logger.setLevel(logging.INFO)
    async with Pool(call, max_workers=1) as pool:
        await pool.add_task((children.log_unpicklable, logger.name))
    [record] = [record for record in caplog.records if record.name == logger.name]
    assert record.getMessage() == "look: <Unpicklable thing>"


async def test_a_large_record(caplog: pytest.LogCaptureFixture, logger: logging.Logger) -> None:
    """A record of any size arrives."""
    async with Pool(call, max_workers=1) as pool:
        await pool.add_task((children.log, logger.name, logging.ERROR, "z" * 200_000))
    [record] = [record for record in caplog.records if record.name == logger.name]
    assert record.getMessage() == "z" * 200_000
