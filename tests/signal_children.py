"""What the tests of signals, forks and output run: tasks, hooks, and programs that have a pool.

Light, as workers import it.
"""

# pathlib would be the largest import of a worker:
# ruff: noqa: PTH123

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # as `typing` has it
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from workpool import WorkerClient

LINES = 20_000
LINE = "x" * 79
"""Times that many lines: 1.6 MB, far more than any pipe holds."""


def command(function: Callable[..., Any], *arguments: Any) -> list[str]:
    """Return the command that calls a function of a test module in a new interpreter."""
    call = f"from {function.__module__} import *; {function.__name__}(*{arguments!r})"
    return [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}; {call}"]


def say(word: str) -> None:
    """Write a line that nothing else comes between."""
    os.write(1, f"{word}\n".encode())


# What a worker is doing when a signal comes. Each says "busy" when it is under way.


def computing(_argument: Any) -> None:
    say("busy")
    while True:
        pass


def holding_the_gil(_argument: Any) -> None:
    say("busy")
    sum(range(10**12))  # one C call that minds no signal


async def waiting(_argument: Any) -> None:
    import asyncio

    say("busy")
    await asyncio.sleep(1000)


def printing(_argument: Any) -> None:
    say("busy")
    while True:
        print(LINE)


def idle(_argument: Any) -> None:
    """Be done at once: its workers sleep."""


def wait_for_interruption() -> None:
    """Be an interpreter that is slow to start: go on when a SIGINT has come, if it is blocked."""
    import signal
    import time

    say("busy")
    while signal.SIGINT not in signal.sigpending():
        time.sleep(0.002)


def never_started(_argument: Any) -> None:
    """Wait for a worker whose start hook hangs."""


def ending(_argument: Any) -> None:
    """Be done at once, in a worker whose exit hook hangs."""
    say("busy")


def hang(_client: WorkerClient) -> None:
    import time

    say("busy")
    time.sleep(1000)


never_started.on_worker_start = hang  # type: ignore[attr-defined]
ending.on_worker_exit = hang  # type: ignore[attr-defined]


# Programs that have a pool of two workers


def run_a_pool(occupation: str, block: bool, worker_path: str = "") -> None:
    """Occupy two workers; wait for what never happens, in an ``async with`` block or without one.

    Workers have another PYTHONPATH if one is given.
    """
    import asyncio

    asyncio.run(occupy(occupation, block, {"PYTHONPATH": worker_path} if worker_path else {}))


async def occupy(occupation: str, block: bool, env: dict[str, str]) -> None:
    from workpool import WorkerPool

    pool: WorkerPool[Any, Any] = WorkerPool(
        globals()[occupation], max_workers=2, min_workers=2, env=env
    )
    if block:
        async with pool:
            await use(pool, occupation)
    else:
        await use(pool, occupation)


async def use(pool: Any, occupation: str) -> None:
    import asyncio

    try:
        await asyncio.gather(*(pool.add_task(number) for number in range(2)))
        if occupation == "idle":
            say("busy")
            say("busy")
        await asyncio.sleep(1000)
    except asyncio.CancelledError:
        say("interrupted")
        raise


def ignore_hangups_and_run_a_pool(path: str) -> None:
    """As under ``nohup``: say when a task is under way, and write its result into a file."""
    import asyncio
    import signal

    from workpool import WorkerPool

    async def main() -> None:
        async with WorkerPool(wait_for_a_hangup, max_workers=1) as pool:
            result = await pool.add_task(None)
        with open(path, "w") as file:
            file.write(result)

    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    asyncio.run(main())


def wait_for_a_hangup(_argument: Any) -> str:
    """Wait until this process's terminal is gone."""
    import select

    say("busy")
    poll = select.poll()
    poll.register(1, 0)
    poll.poll()
    return "went on"


def count_with_a_pool(tasks: int) -> None:
    """Run many short tasks, say how far it is at every tenth, and their sum at the end."""
    import asyncio

    from workpool import WorkerPool

    async def main() -> None:
        done = total = 0
        async with WorkerPool[int, int](square_slowly, max_workers=2, timeout=20) as pool:
            async for result in pool.map(range(tasks)):
                done += 1
                total += result
                if done % (tasks // 10) == 0:
                    say(f"done {done}")
            restarts = pool.statistics().restarts
        say(f"sum {total}, {restarts} restarts")

    asyncio.run(main())


def square_slowly(number: int) -> int:
    import time

    time.sleep(0.002)
    return number * number


def be_a_shell(program: list[str]) -> None:
    """Run one job in the foreground of the terminal, which may stop and go on; end as it ends."""
    import signal
    import subprocess

    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    job = subprocess.Popen(program, process_group=0)
    os.tcsetpgrp(0, job.pid)
    while True:
        _, status = os.waitpid(job.pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
        say("stopped")


# Output


def say_much(_client: Any) -> None:
    """A hook, or a task, that prints far more than anything between it and its reader holds."""
    for _ in range(LINES):
        print(LINE)


def say_without_end(_client: Any) -> None:
    while True:
        try:
            print(LINE)
        except OSError:  # nobody reads it: that is no reason to stop
            continue


def raise_in_handler(_content: Any, _client: WorkerClient) -> None:
    raise ValueError("the handler does not like it")


def listen(client: WorkerClient) -> None:
    """A start hook: raise in the handler of every "note"."""
    client.on_message("note", raise_in_handler)


def print_it(argument: Any) -> None:
    print(argument)


def process_id(_argument: Any) -> int:
    return os.getpid()


def print_after_the_reader(directory: str) -> None:
    """Have tasks print what nobody reads any more; tell on standard error what became of them."""
    import asyncio

    from tests.children import ExitNote
    from workpool import Entrypoint, WorkerPool

    async def main() -> None:
        form = Entrypoint("tests.signal_children", "print_it", on_worker_exit=ExitNote(directory))
        async with WorkerPool(form, max_workers=1) as pool:
            tasks = [pool.add_task(number) for number in range(2)]
            results = await asyncio.gather(*tasks, return_exceptions=True)
            restarts = pool.statistics().restarts
        print(*(type(result).__name__ for result in results), restarts, file=sys.stderr)

    asyncio.run(main())


def raise_after_the_reader() -> None:
    """Have a handler raise while nobody reads standard error; tell whether the worker lives on."""
    import asyncio

    from workpool import WorkerPool

    async def main() -> None:
        async with WorkerPool(process_id, max_workers=1) as pool:
            before = await pool.add_task(None)
            pool.post_message_to_workers("note")
            after = await pool.add_task(None)
            again = await pool.add_task(None)
        say(f"{before == after == again}, {pool.statistics().restarts} restarts")

    process_id.on_worker_start = listen  # type: ignore[attr-defined]
    asyncio.run(main())


def stop_reading() -> None:
    """Have a worker print for ever in its exit hook, and read no more than the first line."""
    import asyncio

    from workpool import Entrypoint, WorkerPool

    def block(*_: Any) -> None:
        say("printing")
        while True:
            pass

    async def main() -> None:
        form = Entrypoint("tests.signal_children", "process_id", on_worker_exit=say_without_end)
        pool: WorkerPool[Any, Any] = WorkerPool(form, max_workers=1, worker_output=block)
        say(str(await pool.add_task(None)))
        pool.workers[0].retire()
        await asyncio.sleep(1000)

    asyncio.run(main())
