"""What runs in the workers. Each task writes a line when it starts and one when it ends.

The lines are the independent record: one `write` to a file opened with O_APPEND each, so that
whatever ends the process, what had happened before stands there. Light: workers import it.
"""

from __future__ import annotations

import os
import time

from workpool import TaskCancelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from workpool import WorkerClient

Work = tuple[str, int, str, "bytes | memoryview"]
"""Path of the record, number of the task, what to do, payload."""


_BUSY_SECONDS = 0.01
"""Long enough for another worker to wake up and steal."""


def run(work: Work, client: WorkerClient) -> tuple[int, bytes | memoryview]:
    """Do one task; return its number and, of a task with a payload, the payload."""
    record, number, action, payload = work
    write_line(record, f"start {number}")
    _do(action, client)
    write_line(record, f"end {number}")
    return number, payload


def run_tiny(work: Work) -> Any:
    """As `run`, but what may travel in a batch: it asks for nothing but the argument. The result is as plain."""
    record, number, action, payload = work
    write_line(record, f"start {number}")
    if action == "raise":
        raise ValueError("as it should")
    write_line(record, f"end {number}")
    return (number, payload) if payload else number


async def run_async(work: Work, client: WorkerClient) -> tuple[int, bytes | memoryview]:
    """As `run`, in a worker that runs several tasks at a time."""
    import asyncio

    record, number, action, payload = work
    write_line(record, f"start {number}")
    if action == "wait":
        await asyncio.Event().wait()
    _do(action, client)
    await asyncio.sleep(0)
    write_line(record, f"end {number}")
    return number, payload


def write_line(record: str, line: str) -> None:
    """Append a line, with this process's id, to the record."""
    descriptor = os.open(record, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(descriptor, f"{line} {os.getpid()}\n".encode())
    finally:
        os.close(descriptor)


def _do(action: str, client: WorkerClient) -> None:
    if action == "log":
        import logging

        logging.getLogger("faults").warning("from a task")
    elif action == "message":
        client.post_message_to_pool("note", "small")
        client.post_message_to_pool("note", b"." * 10_000)
    elif action == "busy":
        time.sleep(_BUSY_SECONDS)
    elif action == "claim":
        client.claim_next()
    elif action == "raise":
        raise ValueError("as it should")
    elif action == "until condemned":
        _ignore_interruptions_until_condemned(client)


def _ignore_interruptions_until_condemned(client: WorkerClient) -> None:
    """Stay until the pool is about to kill this worker, and then end after all.

    Looks where only the worker itself looks: no task can know this otherwise.
    """
    while True:
        try:
            _wait_until_condemned(client)
        except TaskCancelled:
            continue
        return


def _wait_until_condemned(client: WorkerClient) -> None:
    from workpool._system.status_page import CONDEMNED
    from workpool._worker.worker import Worker

    worker = getattr(client._poll, "__self__", None)
    assert isinstance(worker, Worker)
    condemned = worker.page.field(worker.config.slot, CONDEMNED)
    while not worker.words[condemned]:
        pass


def before(_work: Work, _client: WorkerClient) -> None:
    """Be the hook before each task: it makes a report of its own."""


def start(client: WorkerClient) -> None:
    """Be the hook at a worker's start: listen for messages."""
    client.on_message("note", lambda content, client: None)


def end(_client: WorkerClient) -> None:
    """Be the hook at a worker's end."""


for _entrypoint in (run, run_async):
    vars(_entrypoint).update(on_worker_start=start, on_worker_exit=end, pre_task=before)

ENTRYPOINTS: dict[str, Callable[..., Any]] = {"sync": run, "async": run_async, "tiny": run_tiny}
