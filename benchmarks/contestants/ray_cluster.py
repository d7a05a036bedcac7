"""Ray: a scheduler and an object store on each machine, here on one."""

import logging
import os
from collections.abc import Sequence
from time import perf_counter
from typing import Any

from benchmarks.contestants.base import BlockingContestant, Burst, Function

# Nothing is reported to anybody; and it is read when the package is imported.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import ray


class Ray(BlockingContestant[Any]):
    """A remote function of `ray`, in a cluster of one machine that is started for it."""

    def open(self, function: Function, workers: int) -> None:
        """Start scheduler, object store and workers."""
        ray.init(
            num_cpus=workers,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
        self._function = ray.remote(function)

    def close(self) -> None:
        """End all of them."""
        ray.shutdown()

    def add(self, argument: Any) -> Any:
        """Call the remote function."""
        return self._function.remote(argument)

    def wait(self, handle: Any) -> Any:
        """Block for its result."""
        return ray.get(handle)

    def share(self, value: Any) -> Any:
        """Put the value into the object store."""
        return ray.put(value)

    def burst(self, arguments: Sequence[Any]) -> Burst:
        """Call for all, then ask for all results at once, as its pages recommend."""
        start = perf_counter()
        results = ray.get([self.add(argument) for argument in arguments])
        return Burst(perf_counter() - start, results)
