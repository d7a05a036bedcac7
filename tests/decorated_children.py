"""An entrypoint made by the decorator, which costs a worker more to import than `tests.children`."""

from __future__ import annotations

from typing import Any

from tests.children import note_before, note_exit, note_start, notes
from workpool import WorkerClient, entrypoint


@entrypoint
def decorated(argument: Any, client: WorkerClient) -> list[Any]:
    return notes(argument, client)


decorated.on_worker_start(note_start)
decorated.on_worker_exit(note_exit)
decorated.pre_task(note_before)
