"""Output that is read late, slowly or never keeps neither a worker nor the pool for ever."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests import children, signal_children
from tests.children import call, is_alive
from tests.contract.programs import has_ended_within
from tests.signal_children import LINES, command
from workpool import Entrypoint, PoolClosed, WorkerCrashed, WorkerPool

Pool = WorkerPool[Any, Any]

GONE_WITHIN = 2.0
"""A second is what the exit hook is given after the end of its parent; a busy machine adds to that."""

# What is written at once cannot fail later.
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def with_hooks(**hooks: Any) -> Entrypoint:
    return Entrypoint("tests.children", "call", **hooks)


# Late and slow readers


async def test_a_busy_loop_reads_later() -> None:
    """A worker that prints while the loop is blocked waits for it; nothing of it is lost."""
    lines: list[str] = []
    async with Pool(call, max_workers=1, worker_output=lambda *a: lines.append(a[2])) as pool:
        await pool.add_task((os.getpid,))
        task = pool.add_task((signal_children.say_much, None))
        await asyncio.sleep(0)
        time.sleep(0.2)  # the loop is blocked, the pipe is full
        assert lines == []
        await task
    assert len(lines) == LINES


@pytest.mark.parametrize("hook", ["on_worker_start", "on_worker_exit"])
async def test_hooks_may_print_much(hook: str) -> None:
    """What a hook prints is read while it runs: the start is not late, the close does not hang."""
    lines: list[str] = []
    form = with_hooks(**{hook: signal_children.say_much})
    async with Pool(form, max_workers=2, worker_output=lambda *a: lines.append(a[2])) as pool:
        assert await pool.add_task((children.double, 2)) == 4
        workers = len(pool.workers)
    assert len(lines) == LINES * workers


async def test_a_function_that_raises_at_every_line_keeps_nobody() -> None:
    """Each line is reported as that error; the task, its worker and the close go on."""
    reported = 0

    def count(_loop: Any, _context: Any) -> None:
        nonlocal reported
        reported += 1

    def refuse(*_: Any) -> None:
        raise ValueError("I do not print")

    asyncio.get_running_loop().set_exception_handler(count)
    async with Pool(call, max_workers=1, worker_output=refuse) as pool:
        await pool.add_task((signal_children.say_much, None))
    assert reported == LINES


# The end while a worker prints


async def test_closing_ends_an_exit_hook_that_prints_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has its time as any exit hook, then it is killed."""
    monkeypatch.setattr("workpool._fleet.EXIT_GRACE", 0.2)
    form = with_hooks(on_worker_exit=signal_children.say_without_end)
    async with Pool(form, max_workers=1, worker_output=lambda *_: None) as pool:
        assert await pool.add_task((children.double, 2)) == 4


async def test_a_worker_that_prints_without_end_is_killed() -> None:
    """Its task fails, what it had printed is passed on, and the pool goes on."""
    lines: list[str] = []
    async with Pool(call, max_workers=1, worker_output=lambda *a: lines.append(a[2])) as pool:
        task = pool.add_task((signal_children.say_without_end, None))
        while len(lines) < 2:  # the last may be cut off
            await asyncio.sleep(0.002)
        pool.workers[0].kill()
        with pytest.raises(WorkerCrashed):
            await task
        assert await pool.add_task((children.double, 2)) == 4
    assert set(lines[:-1]) == {signal_children.LINE}


async def test_a_pool_is_killed_while_its_workers_print() -> None:
    """`kill` returns although more comes all the time; the tasks fail."""
    lines: list[str] = []
    pool = Pool(call, max_workers=2, worker_output=lambda *a: lines.append(a[2]))
    tasks = [pool.add_task((signal_children.say_without_end, None)) for _ in range(2)]
    while not lines:
        await asyncio.sleep(0.002)
    pool.kill()
    for task in tasks:
        with pytest.raises(PoolClosed):
            await task


# Readers that are gone


def test_a_reader_that_is_gone(tmp_path: Path) -> None:
    """As in `script | head`: a task that prints fails like any program would, its worker lives.

    It runs its exit hook, and says no word about the pipe.
    """
    read_end, write_end = os.pipe()
    os.close(read_end)
    program = command(signal_children.print_after_the_reader, str(tmp_path))
    with subprocess.Popen(
        program, stdout=write_end, stderr=subprocess.PIPE, text=True, env=BUFFERED
    ) as parent:
        os.close(write_end)
        _, said = parent.communicate(timeout=20)
    assert said == "BrokenPipeError BrokenPipeError 0\n"
    assert len(list(tmp_path.glob("exit-*"))) == 1


def test_an_error_that_nobody_can_be_told() -> None:
    """A handler that raises while standard error has no reader does not end its worker."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    program = command(signal_children.raise_after_the_reader)
    with subprocess.Popen(
        program, stdout=subprocess.PIPE, stderr=write_end, text=True, env=BUFFERED
    ) as parent:
        os.close(write_end)
        said, _ = parent.communicate(timeout=20)
    assert said == "True, 0 restarts\n"


def test_an_exit_hook_that_prints_does_not_outlive_the_parent() -> None:
    """Stuck in a full pipe, then printing to nobody: a second after the parent it is gone."""
    program = command(signal_children.stop_reading)
    with subprocess.Popen(program, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert parent.stdout.readline() == b"printing\n"
        assert is_alive(worker)
        parent.kill()
        assert has_ended_within([worker], GONE_WITHIN)
