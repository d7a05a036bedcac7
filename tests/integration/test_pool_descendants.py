"""What tasks leave behind: programs and forks that outlive them are neither the pool nor its workers."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests import children, fork_children
from tests.children import Gate, call, call_async, is_alive
from tests.contract.programs import has_ended_within
from tests.fork_children import pools_own
from tests.signal_children import command, say
from workpool import WorkerCrashed, WorkerPool

Pool = WorkerPool[Any, Any]

GONE_WITHIN = 1.0
"""Seconds after its parent's end in which every worker has to be gone."""


def descriptors_of(pid: int) -> dict[int, str]:
    """Return the descriptors of another process above the standard three."""
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        if int(entry.name) > 2:
            with suppress(FileNotFoundError):  # closed meanwhile
                found[int(entry.name)] = os.readlink(entry)
    return found


@contextmanager
def ended_at_last(pids: list[int]) -> Iterator[None]:
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("how", list(fork_children.LEFT))
async def test_what_a_task_leaves_behind_holds_nothing_of_the_pool(how: str) -> None:
    """Seen from outside, in ``/proc``: no descriptor of its worker's, none of the pool's."""
    async with Pool(call, max_workers=2, worker_output="forward") as pool:
        worker = await pool.add_task((os.getpid,))
        left = await pool.add_task((fork_children.LEFT[how],), worker=0, affinity="force")
        with ended_at_last([left]):
            await until_it_runs(left, how)
            of_the_pool = pools_own(children.open_descriptors()) | pools_own(descriptors_of(worker))
            assert pools_own(descriptors_of(left)) & of_the_pool == set()
            assert await pool.add_task((children.double, 2)) == 4
    assert not is_alive(worker)


async def until_it_runs(pid: int, how: str) -> None:
    """Wait until a process has let go of what its fork has given it."""
    while how in ("program", "posix_spawn") and b"sleep" not in _command_of(pid):
        await asyncio.sleep(0.002)
    while how in ("fork", "daemon") and "S" not in _status_of(pid):
        await asyncio.sleep(0.002)  # it lets go before it waits


def _command_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def _status_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.parametrize("entrypoint", [call, call_async])
async def test_what_a_task_leaves_behind_does_not_pass_for_its_worker(
    gate: Gate, tmp_path: Path, entrypoint: Any
) -> None:
    """When the worker is killed its task fails at once, although its children live."""
    note = tmp_path / "pids"
    async with Pool(entrypoint, max_workers=1) as pool:
        task = pool.add_task((fork_children.leave_all_and_pass, gate, str(note)))
        [pid] = await gate.arrived()
        left = [int(word) for word in note.read_text().split()]
        with ended_at_last(left):
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(WorkerCrashed, match="SIGKILL"):
                await task
            assert await pool.add_task((children.double, 2)) == 4
            assert all(map(is_alive, left))


def test_what_a_task_leaves_behind_does_not_pass_for_the_parent() -> None:
    """When the parent is killed its worker goes, although children of a task live."""
    program = command(fork_children.run_a_pool_that_leaves_all)
    with subprocess.Popen(program, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        worker, *left = (int(word) for word in parent.stdout.readline().split())
        with ended_at_last(left):
            parent.kill()
            assert has_ended_within([worker], GONE_WITHIN)
            assert all(map(is_alive, left))


@pytest.mark.parametrize("leave", [fork_children.leave_program, fork_children.leave_writer])
@pytest.mark.parametrize("end", ["close", "crash"])
async def test_what_holds_the_output_does_not_keep_the_pool(
    leave: Callable[[], int], end: str
) -> None:
    """A program that still has, or still fills, a worker's output is not waited for."""
    lines: list[str] = []

    def take(_worker: Any, _stream: str, line: str) -> None:
        lines.append(line)
        if len(lines) % 100 == 0:
            time.sleep(0.0001)  # whoever writes is always faster

    async with Pool(call, max_workers=1, worker_output=take) as pool:
        left = await pool.add_task((leave,))
        with ended_at_last([left]):
            await pool.add_task((say, "from the worker"))
            if end == "crash":
                with pytest.raises(WorkerCrashed):
                    await pool.add_task((os._exit, 1))
            await pool.aclose()
            assert any(line.endswith("from the worker") for line in lines)
