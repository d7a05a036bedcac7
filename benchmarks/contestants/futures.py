"""Contestants whose tasks are `concurrent.futures.Future`s."""

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from typing import Any

from benchmarks.contestants.base import BlockingContestant, Function
from benchmarks.contestants.loops import AsyncioContestant


class ExecutorContestant(BlockingContestant["Future[Any]"]):
    """Any `concurrent.futures.Executor`, used as such."""

    @abstractmethod
    def executor(self, workers: int) -> Executor:
        """Make the executor."""

    def open(self, function: Function, workers: int) -> None:
        """Make the executor; it starts processes with the first tasks."""
        self._function = function
        self._executor = self.executor(workers)

    def close(self) -> None:
        """Shut down and wait."""
        self._executor.shutdown()

    def add(self, argument: Any) -> "Future[Any]":
        """Submit one task."""
        return self._executor.submit(self._function, argument)

    def wait(self, handle: "Future[Any]") -> Any:
        """Block for its result."""
        return handle.result()


class StandardExecutor(ExecutorContestant):
    """`concurrent.futures.ProcessPoolExecutor` with the platform's start method."""

    def executor(self, workers: int) -> Executor:
        """Make the standard library's executor."""
        return ProcessPoolExecutor(workers)


class AsyncioExecutor(AsyncioContestant):
    """`loop.run_in_executor` with a `ProcessPoolExecutor`: what asyncio offers by itself."""

    async def start(self, function: Function, workers: int) -> None:
        """Make the executor; it starts processes with the first tasks."""
        self._function = function
        self._loop = asyncio.get_running_loop()
        self._executor = ProcessPoolExecutor(workers)

    async def stop(self) -> None:
        """Shut down and wait."""
        self._executor.shutdown()

    def call(self, argument: Any) -> Awaitable[Any]:
        """Add one task."""
        return self._loop.run_in_executor(self._executor, self._function, argument)
