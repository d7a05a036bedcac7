"""Carry out ``workpool map``: open everything, run the job, put everything away."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import Any, Protocol

from workpool.cli import _report
from workpool.cli._descriptors import LineWriter
from workpool.cli._errors import PIPE_CLOSED, UsageError
from workpool.cli._job import Job, Pool
from workpool.cli._options import BUFFER_BYTES, MapOptions
from workpool.cli._screen import Screen, ScreenHandler
from workpool.cli._signals import StopSignals
from workpool.cli._source import Source, open_source
from workpool.cli._window import Window
from workpool.errors import EntrypointError, WorkpoolError

__all__ = ["ClosablePool", "run_map"]

# How long workers that are no longer needed may take to end by themselves, in seconds, and how long
# a consumer may take to read what is left when the user has interrupted: together less than the
# deadline of `_signals`.
_CLOSING_GRACE = 0.7
_FLUSHING_GRACE = 0.5


class ClosablePool(Pool, Protocol):
    """What running a job needs of a `workpool.WorkerPool`."""

    async def aclose(self) -> None:
        """Finish what was added, end the workers."""

    def kill(self) -> None:
        """End everything at once."""


PoolFactory = Callable[[MapOptions, Screen], ClosablePool]


def run_map(options: MapOptions, make_pool: PoolFactory | None = None) -> int:
    """Run one ``workpool map`` and return the exit status.

    Raises UsageError if it cannot begin. `make_pool` replaces the real pool in tests.
    """
    source = open_source(options)
    screen = Screen()
    handler = ScreenHandler(screen)
    logging.getLogger().addHandler(handler)
    try:
        return asyncio.run(_run(options, source, screen, make_pool or _worker_pool))
    finally:
        logging.getLogger().removeHandler(handler)


def _worker_pool(options: MapOptions, screen: Screen) -> ClosablePool:
    from workpool import WorkerPool

    def print_line(worker: object, stream: str, line: str) -> None:
        screen.message(line)

    return WorkerPool(
        options.spec,
        max_workers=options.jobs,
        timeout=options.timeout,
        retries=options.retries,
        worker_output=print_line,
        name="workpool map",
    )


async def _run(options: MapOptions, source: Source, screen: Screen, make_pool: PoolFactory) -> int:
    try:
        pool = make_pool(options, screen)
    except (EntrypointError, ValueError) as error:
        raise UsageError(str(error)) from None
    job, writer = _connect(options, pool, screen)
    hurry = asyncio.Event()
    if source.from_terminal:
        screen.message("workpool: type one input per line, end with Ctrl-D")

    def interrupt() -> None:
        job.interrupt()
        hurry.set()

    with StopSignals(interrupt) as signals:
        async with _progress(job, source, screen):
            await job.run(source.batches)
            await _last_step(writer.flush(), hurry, _FLUSHING_GRACE)
        if job.failure or job.fatal:
            hurry.set()  # what is left has been cancelled: do not wait for it for long
        if not await _last_step(pool.aclose(), hurry, _CLOSING_GRACE):
            pool.kill()
    writer.close()
    return _conclude(job, signals.number, screen)


def _connect(options: MapOptions, pool: Pool, screen: Screen) -> tuple[Job, LineWriter]:
    ordered = not options.unordered
    window = Window(ordered=ordered, max_inputs=options.buffer, max_bytes=BUFFER_BYTES)
    same_terminal = os.isatty(1) and os.isatty(2)
    writer = LineWriter(1, around=screen.above_bar if same_terminal else nullcontext)
    job = Job(pool, window, writer.put, ordered=ordered, keep_going=options.keep_going)
    writer.report_to(job.note_written, job.abort)
    return job, writer


@asynccontextmanager
async def _progress(job: Job, source: Source, screen: Screen) -> AsyncIterator[None]:
    """Show the bar on a terminal, unless somebody types the inputs there."""
    if not os.isatty(2) or os.environ.get("TERM") == "dumb" or source.from_terminal:
        yield
        return
    from workpool.cli._progress import Bar, Figures, keep_drawing

    def figures() -> Figures:
        total = source.total if source.total is not None else job.total
        return Figures(job.finished, job.failed, total)

    drawing = asyncio.ensure_future(keep_drawing(screen, Bar(), figures))
    try:
        yield
    finally:
        drawing.cancel()
        with suppress(asyncio.CancelledError):
            await drawing


async def _last_step(step: Coroutine[Any, Any, None], hurry: asyncio.Event, grace: float) -> bool:
    """Run a step to its end; once `hurry` is set, give it up after `grace` seconds."""
    working = asyncio.ensure_future(step)
    hurrying = asyncio.ensure_future(hurry.wait())
    await asyncio.wait([working, hurrying], return_when=asyncio.FIRST_COMPLETED)
    if not working.done():
        await asyncio.wait([working], timeout=grace)
    hurrying.cancel()
    if working.done():
        with suppress(WorkpoolError):  # it was closed under our hands: closed it is
            working.result()
        return True
    working.cancel()
    return False


def _conclude(job: Job, signal_number: int | None, screen: Screen) -> int:
    """Say what is to be said and return the exit status."""

    def tell(text: str) -> None:
        screen.message(f"workpool: {text}")

    if signal_number is not None:
        tell(_report.describe_interruption(job.finished, job.unfinished))
        return 128 + signal_number
    if isinstance(job.fatal, BrokenPipeError):
        _forget_standard_output()
        return PIPE_CLOSED
    if job.failure is not None:
        tell(_report.describe_failure(job.failure))
        return 2 if isinstance(job.failure.error, EntrypointError) else 1
    if job.failed:
        tell(_report.describe_kept_going(job.failed, job.finished))
    if job.fatal is not None:
        tell(_report.describe_fatal(job.fatal))
    return 1 if job.failed or job.fatal else 0


def _forget_standard_output() -> None:
    """Keep the interpreter from complaining about a closed pipe when it flushes at its end."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.__stdout__.fileno() if sys.__stdout__ else 1)
    os.close(null)
