"""What the tests of forks run: tasks that leave processes behind, children of the pool's own process."""

# pathlib would be the largest import of a worker:
# ruff: noqa: PTH123

from __future__ import annotations

import os
import sys

from tests.signal_children import LINE, say

TYPE_CHECKING = False  # as `typing` has it
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tests.children import Gate

POOLS_OWN = ("pipe:", "socket:", "anon_inode:[pidfd]", "/memfd:workpool")


def pools_own(descriptors: dict[int, str]) -> set[str]:
    """Return what may be a pool's among descriptors."""
    return {what for what in descriptors.values() if what.startswith(POOLS_OWN)}


# Processes that outlive the task that starts them


def leave_program() -> int:
    """Start a program without any care about descriptors; return its id."""
    import subprocess

    return subprocess.Popen(["sleep", "1000"], close_fds=False, start_new_session=True).pid


def leave_spawned() -> int:
    return os.posix_spawnp("sleep", ["sleep", "1000"], os.environ)


def leave_fork() -> int:
    pid = os.fork()
    if not pid:
        _wait_for_ever()
    return pid


def leave_daemon() -> int:
    """Fork twice, as daemons do, so that nobody is left who would wait for it."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        os.setsid()
        pid = os.fork()
        if pid:
            os.write(write_end, str(pid).encode())
            os._exit(0)
        os.close(read_end)
        os.close(write_end)
        _wait_for_ever()
    os.close(write_end)
    os.waitpid(child, 0)
    with os.fdopen(read_end, "rb") as pipe:
        return int(pipe.read())


def leave_writer() -> int:
    """Leave a child that writes to the standard output for ever, faster than anybody can read."""
    pid = os.fork()
    if not pid:
        try:
            while True:
                os.write(1, f"{LINE}\n".encode() * 800)
        finally:
            os._exit(0)
    return pid


LEFT: dict[str, Callable[[], int]] = {
    "program": leave_program,
    "posix_spawn": leave_spawned,
    "fork": leave_fork,
    "daemon": leave_daemon,
}


def leave_all_and_pass(gate: Gate, path: str) -> None:
    """Leave one of each kind, write their ids into a file, and wait at a gate."""
    pids = [leave() for leave in LEFT.values()]
    with open(path, "w") as file:
        file.write(" ".join(map(str, pids)))
    gate.pass_through()


def leave_all_and_say_so(_argument: Any) -> None:
    """Leave one of each kind, print this process's id and theirs, and never end."""
    pids = [os.getpid(), *(leave() for leave in LEFT.values())]
    say(" ".join(map(str, pids)))
    while True:
        pass


# Programs that have a pool


def run_a_pool_that_leaves_all() -> None:
    """Run one task that leaves processes behind and does not end."""
    import asyncio

    from workpool import WorkerPool

    async def main() -> None:
        async with WorkerPool(leave_all_and_say_so, max_workers=1) as pool:
            await pool.add_task(None)

    asyncio.run(main())


def fork_in_a_coroutine() -> None:
    """Fork in the middle of everything; the child ends as a script does, its parent goes on."""
    import asyncio

    from tests.children import double
    from workpool import WorkerPool

    async def main() -> None:
        async with WorkerPool[int, int](double, max_workers=2) as pool:
            await asyncio.gather(*map(pool.add_task, range(10)))
            waiting = [pool.add_task(number) for number in range(100)]
            child = os.fork()
            if not child:
                sys.exit(7)
            _, status = os.waitpid(child, 0)
            results = await asyncio.gather(*waiting, pool.add_task(100))
            restarts = pool.statistics().restarts
        say(f"child {os.waitstatus_to_exitcode(status)}, sum {sum(results)}, {restarts} restarts")

    asyncio.run(main())


def _wait_for_ever() -> None:
    import signal

    try:
        while True:
            signal.pause()
    finally:
        os._exit(0)
