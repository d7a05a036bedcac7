"""Programs that fork a template of themselves, and what their workers run. Each prints what it saw as JSON."""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import random
import signal
import sys
import tempfile
import threading
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

import workpool
from tests.children import call  # noqa: F401 - the entrypoint

CALL = "tests.forked_template_children:call"
MARK = "as it was imported"


def look() -> dict[str, Any]:
    """Return what a worker finds."""
    return {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "mark": MARK,
        "imported": "tests.template_numpy" in sys.modules,
        "input": sys.stdin.read(),
        "random": random.random(),
    }


async def _looks(pool: Any, workers: int) -> list[dict[str, Any]]:
    return [
        await pool.add_task((look,), affinity="force", worker=worker) for worker in range(workers)
    ]


def _tell(**seen: Any) -> None:
    print(json.dumps(seen))


def show_likeness() -> None:
    """Have workers look round, and look who they are; crash one of them."""
    global MARK
    MARK = "as it was forked"
    print("once")  # in the buffer while it is forked
    template = workpool.fork_template(imports=["tests.template_numpy", "missing"])
    MARK = "as it was later"

    async def run() -> None:
        # More queues than there is room for in one message, and their numbers are taken over there.
        async with workpool.WorkerPool[Any, Any](
            CALL, max_workers=300, min_workers=2, start_method=template
        ) as pool:
            first = await _looks(pool, 2)
            with suppress(workpool.WorkerCrashed):
                await pool.add_task((os._exit, 3), affinity="force", worker=0)
            _tell(me=os.getpid(), looks=first, later=await _looks(pool, 1))

    asyncio.run(run())


def show_unfit() -> None:
    """Try to fork with a thread, and traced."""
    said = []
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    for trace in (None, lambda *_: None):
        sys.settrace(trace)
        try:
            workpool.fork_template()
        except RuntimeError as error:
            said.append(str(error))
        sys.settrace(None)
        end.set()
        thread.join()
    _tell(said=said)


def show_unsuited() -> None:
    """Give one to a pool whose workers are to have other variables."""

    async def run() -> None:
        template = workpool.fork_template()
        pid = template._process.pid
        async with workpool.WorkerPool[Any, Any](
            CALL, max_workers=1, start_method=template, env={"NEW": "1"}
        ) as pool:
            parent = (await pool.add_task((look,)))["parent"]
        template.close()
        _tell(same=parent == pid, left=_is_there(pid))

    asyncio.run(run())


def show_two_pools() -> None:
    """Give one to two pools."""

    async def run() -> None:
        template = workpool.fork_template()
        pid = template._process.pid
        pools = [
            workpool.WorkerPool[Any, Any](CALL, max_workers=1, start_method=template)
            for _ in range(2)
        ]
        async with pools[0], pools[1]:
            first = (await pools[0].add_task((look,)))["parent"] == pid
            second = []
            for _ in range(2):
                try:
                    second.append(str(await pools[1].add_task((look,))))
                except RuntimeError as error:
                    second.append(f"{type(error).__name__}: {error}")
            later = (await pools[0].add_task((look,)))["parent"] == pid
        _tell(first=first, second=second, first_later=later)

    asyncio.run(run())


def show_unused() -> None:
    """Close one that no pool has had, and a pool that never started one."""

    async def close_unused(template: workpool.ForkedTemplate) -> None:
        async with workpool.WorkerPool[Any, Any](CALL, start_method=template):
            pass
        template.close()

    pids = []
    for use in (
        workpool.ForkedTemplate.close,
        lambda template: asyncio.run(close_unused(template)),
    ):
        template = workpool.fork_template()
        pids.append(template._process.pid)
        use(template)
    _tell(left=[pid for pid in pids if _is_there(pid)])


def be_killed() -> None:
    """Name a template, and the processes of a pool that has another one; then end without a word."""
    unused = workpool.fork_template()

    async def run() -> None:
        template = workpool.fork_template()
        async with workpool.WorkerPool[Any, Any](CALL, start_method=template) as pool:
            seen = await pool.add_task((look,))
            _tell(pids=[unused._process.pid, seen["parent"], seen["pid"]])
            sys.stdout.flush()
            sys.stdin.read()
            os.kill(os.getpid(), signal.SIGKILL)

    asyncio.run(run())


def show_ends() -> None:
    """Have a worker end with things to see to."""

    async def run() -> None:
        template = workpool.fork_template()
        async with workpool.WorkerPool[Any, Any](
            CALL, max_workers=1, start_method=template
        ) as pool:
            await pool.add_task((see_to_the_end,))

    asyncio.run(run())
    print("the program")


def show_own_things() -> None:
    """Have workers use a file that their template has opened, while the program does what it likes."""
    with tempfile.TemporaryDirectory() as folder:
        kept = tempfile.TemporaryDirectory()
        finalizers = [weakref.finalize(kept, print, "the program's finalizer")]
        atexit.register(print, "the program's handler")
        (Path(folder) / "opening.py").write_text(OPENING)
        sys.path.insert(0, folder)
        templates = [workpool.fork_template(imports=["opening"]) for _ in range(2)]
        os.kill(templates[1]._process.pid, signal.SIGKILL)
        os.waitid(os.P_PIDFD, templates[1]._process.descriptor, os.WEXITED | os.WNOWAIT)
        asyncio.run(_use_files(templates))
        sys.stdout.flush()
        _tell(kept=Path(kept.name).is_dir(), alive=finalizers[0].alive)


OPENING = """
import os, tempfile
files = [tempfile.TemporaryFile() for _ in range(40)]

def use(number):
    for file in files:
        os.pwrite(file.fileno(), b"a file of its own", 0)
    return number, {os.pread(file.fileno(), 100, 0) for file in files}
"""


async def _use_files(templates: list[workpool.ForkedTemplate]) -> None:
    for template in templates:
        async with workpool.WorkerPool[Any, Any](
            "opening:use", max_workers=2, start_method=template
        ) as pool:
            seen = await asyncio.gather(*map(pool.add_task, range(20)))
            assert seen == [(number, {b"a file of its own"}) for number in range(20)]


def show_signals() -> None:
    """Interrupt a task of a template that was forked where an event loop handles signals."""
    got: list[int] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, got.append, number)
        template = workpool.fork_template()
        async with workpool.WorkerPool[Any, Any](
            CALL, max_workers=1, start_method=template
        ) as pool:
            pid = await pool.add_task((os.getpid,))
            os.kill(pid, signal.SIGTERM)
            task = pool.add_task((signal.pause,))
            while task.state != "running":
                await asyncio.sleep(0.001)
            task.cancel()
            _tell(same=await pool.add_task((os.getpid,)) == pid, got=got)

    asyncio.run(run())


def see_to_the_end() -> None:
    """Leave an exit handler and a thread that ends a little later than the worker's loop."""
    atexit.register(print, "the handler")
    threading.Thread(target=_print_at_the_end).start()


def _print_at_the_end() -> None:
    threading.main_thread().join()
    print("the thread")


def _is_there(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")  # noqa: PTH110 - light
