"""dask.distributed: a central scheduler, here with its workers on one machine."""

from collections.abc import Sequence
from time import perf_counter
from typing import Any

import distributed

from benchmarks.contestants.base import BlockingContestant, Burst, Function


class Dask(BlockingContestant[Any]):
    """`distributed.Client.submit` to a `LocalCluster` of processes with one thread each."""

    def open(self, function: Function, workers: int) -> None:
        """Start scheduler and workers."""
        self._function = function
        self._cluster = distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            silence_logs="CRITICAL",
        )
        self._client = distributed.Client(self._cluster)

    def close(self) -> None:
        """End all of them."""
        self._client.close()
        self._cluster.close()

    def add(self, argument: Any) -> Any:
        """Submit one task; a result of an earlier one with the same argument is not taken for it."""
        return self._client.submit(self._function, argument, pure=False)

    def wait(self, handle: Any) -> Any:
        """Block for its result."""
        return handle.result()

    def share(self, value: Any) -> Any:
        """Scatter the value to every worker."""
        return self._client.scatter(value, broadcast=True, hash=False)

    def burst(self, arguments: Sequence[Any]) -> Burst:
        """Submit all, then gather all results at once."""
        start = perf_counter()
        handles = [self.add(argument) for argument in arguments]
        results = self._client.gather(handles)
        return Burst(perf_counter() - start, results)
