"""Starting one worker: what it is told, and where its output goes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from workpool._output import OutputReader, line_handler
from workpool._serialization import dumps
from workpool._templates import Templates
from workpool._worker_config import WorkerConfig
from workpool._worker_process import WorkerProcess

if TYPE_CHECKING:
    import asyncio

    from workpool._dispatcher import Dispatcher
    from workpool._options import PoolOptions
    from workpool._restarts import StartSettings
    from workpool._target import Target


class Launcher:
    """Starts the workers of one pool, all alike."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, options: PoolOptions, target: Target
    ) -> None:
        self._loop = loop
        self._options = options
        self._target = target
        self._target_bytes: bytes | None = None
        method = options.start_method
        forked = None if isinstance(method, str) else method
        self.templates = Templates(loop, options.name, forked)

    def launch(
        self, slot: int, dispatcher: Dispatcher, settings: StartSettings, *, suspect: bool = False
    ) -> WorkerProcess:
        """Start a worker process in a slot.

        The output of a `suspect` one goes through the pool in any case, so that there is evidence
        if it dies as its predecessor did. Raises `OSError`, or `SerializationError` if the
        entrypoint cannot be sent.
        """
        output = self._options.worker_output
        environment = {**os.environ, **self._options.env, **settings.env}
        config = self._config(slot, dispatcher, settings)
        # A worker with variables of its own is no likeness of any other.
        from_template = self._options.start_method != "spawn" and not settings.env
        worker = WorkerProcess(
            config,
            self._loop,
            environment,
            capture_output=suspect or output != "inherit",
            template=self.templates.template_for(config, environment) if from_template else None,
        )
        worker.settings_version = settings.version
        for stream, descriptor in worker.output.items():
            reader = OutputReader(worker, stream, descriptor, line_handler(output))
            worker.output_readers.append(reader)
            try:
                self._loop.add_reader(descriptor, reader.read)
            except OSError:
                worker.abort()
                raise
        return worker

    def _config(self, slot: int, dispatcher: Dispatcher, settings: StartSettings) -> WorkerConfig:
        options = self._options
        if self._target_bytes is None:
            self._target_bytes = dumps(self._target, side="pool", subject="entrypoint")
        return WorkerConfig(
            name=options.name,
            slot=slot,
            # Where '' is the current directory, as it is for an interactive interpreter.
            sys_path=[entry or str(Path.cwd()) for entry in map(str, sys.path)],
            argv=list(sys.argv),
            target=self._target_bytes,
            concurrency=options.worker_concurrency,
            arena=dispatcher.arena.descriptor,
            status_page=dispatcher.page.descriptor,
            queues=[queue.read_end for queue in dispatcher.queues],
            lockers=[locker.outer.fileno() for locker in dispatcher.lockers],
            max_tasks=options.max_tasks_per_worker,
            max_memory=options.max_memory_per_worker,
            log_levels=_log_levels(),
            start_arguments=settings.arguments,
        )


def _log_levels() -> dict[str, int]:
    logging = sys.modules.get("logging")
    if logging is None:
        return {}
    levels = {
        name: logger.level
        for name, logger in logging.root.manager.loggerDict.items()
        if isinstance(logger, logging.Logger) and logger.level
    }
    return {**levels, "": logging.root.level}
