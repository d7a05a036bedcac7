"""Restarts that users ask for: what each slot's worker is started with, and who waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workpool._serialization import dumps
from workpool.errors import PoolClosed

if TYPE_CHECKING:
    from workpool._worker_handle import WorkerHandle
    from workpool._worker_process import WorkerProcess


class StartSettings:
    """What one slot's workers are started with, beside the pool's options."""

    def __init__(self) -> None:
        self.env: dict[str, str] = {}
        self.arguments: bytes | None = None
        """Pickled."""
        self.version = 0


class Restarts:
    """Keeps the start settings of every slot, and the restarts that are on their way.

    Restarts of one slot that are asked for before the last has come to its end are one: the
    settings add up, and all who asked are answered when a worker with the newest is ready.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, slots: int) -> None:
        self.settings = [StartSettings() for _ in range(slots)]
        self._loop = loop
        self._closed = False
        self._waiting: dict[int, asyncio.Future[WorkerHandle]] = {}

    def ask(
        self, slot: int, env: Mapping[str, str], arguments: Any, *, has_arguments: bool
    ) -> asyncio.Future[WorkerHandle]:
        """Change a slot's settings; return who waits for a worker with them.

        Raises `PoolClosed`, and `SerializationError` if the arguments cannot be pickled; then nothing
        is changed.
        """
        if self._closed:
            raise PoolClosed("the pool of this worker is closed: its workers are not restarted")
        settings = self.settings[slot]
        if has_arguments:
            settings.arguments = dumps(arguments, side="pool", subject="start arguments")
        settings.env.update(env)
        settings.version += 1
        if slot not in self._waiting:
            self._waiting[slot] = self._loop.create_future()
        return self._waiting[slot]

    def due(self, slot: int) -> bool:
        """Whether somebody waits for a new worker in a slot."""
        return slot in self._waiting

    def ready(self, worker: WorkerProcess) -> None:
        """Note that a worker is ready: it may be the one that is waited for."""
        if worker.settings_version == self.settings[worker.slot].version:
            waiting = self._waiting.pop(worker.slot, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(worker.handle)

    def failed(self, slot: int, error: BaseException) -> None:
        """Note that there will be no new worker."""
        waiting = self._waiting.pop(slot, None)
        if waiting is not None and not waiting.done() and not self._loop.is_closed():
            waiting.set_exception(error)
            waiting.exception()  # whoever still waits gets it; nobody needs to

    def close(self) -> None:
        """Restart nothing any more."""
        self._closed = True
        for slot in list(self._waiting):
            self.failed(slot, PoolClosed("the pool was closed before the worker was restarted"))
