"""loky: an executor that survives crashes; joblib's engine."""

from concurrent.futures import Executor
from typing import cast

import loky

from benchmarks.contestants.futures import ExecutorContestant


class Loky(ExecutorContestant):
    """`loky.ProcessPoolExecutor`."""

    def executor(self, workers: int) -> Executor:
        """Make an executor of its own, not the process-wide reusable one."""
        return cast(Executor, loky.ProcessPoolExecutor(workers))
