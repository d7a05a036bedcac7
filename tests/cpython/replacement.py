"""`workpool.Executor` under the name of the class that CPython's tests are written for."""

from __future__ import annotations

import concurrent.futures
import concurrent.futures.process
import multiprocessing
import os
import signal
import threading
from multiprocessing.context import BaseContext
from typing import Any

from workpool import Executor, WorkerHandle


class ProcessPoolExecutor(Executor):
    """An executor with the private attributes that those tests look at, where it has the like."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._mp_context: BaseContext = multiprocessing.get_context("spawn")

    @property
    def _processes(self) -> dict[int, _Process]:
        return {worker.pid: _Process(worker) for worker in self._pool.workers}

    @property
    def _broken(self) -> str | None:
        return self._pool.broken

    @property
    def _executor_manager_thread(self) -> threading.Thread:
        assert self._pool._service is not None
        return self._pool._service.thread._thread

    @property
    def _call_queue(self) -> _NoQueue:
        return _NoQueue()


class _Process:
    """A worker as a `multiprocessing.Process`."""

    def __init__(self, worker: WorkerHandle) -> None:
        self.pid = worker.pid
        self._worker = worker
        self._descriptor = os.pidfd_open(self.pid)

    def __del__(self) -> None:
        os.close(self._descriptor)

    def terminate(self) -> None:
        signal.pidfd_send_signal(self._descriptor, signal.SIGTERM)

    def join(self) -> None:
        multiprocessing.connection.wait([self._descriptor])
        assert self._worker.state == "exited"


class _NoQueue:
    """The parent's queue of calls, which is not there."""

    def join_thread(self) -> None:
        """Do nothing: there is no thread that feeds it."""


def replace() -> None:
    """Let `concurrent.futures.ProcessPoolExecutor` be ours."""
    for module in (concurrent.futures, concurrent.futures.process):
        setattr(module, "ProcessPoolExecutor", ProcessPoolExecutor)  # noqa: B010 - a typed name
