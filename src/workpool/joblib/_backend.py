"""`WorkpoolBackend`: what joblib asks of a backend, done with a `workpool.sync.WorkerPool`."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

from joblib import cpu_count
from joblib.parallel import (
    AutoBatchingMixin,
    FallbackToBackend,
    ParallelBackendBase,
    SequentialBackend,
    ThreadingBackend,
)

from workpool.errors import PoolClosed
from workpool.joblib import _pools, _worker
from workpool.joblib._arrays import Arrays
from workpool.joblib._batch import Batch
from workpool.joblib._callbacks import CallbackThread

if TYPE_CHECKING:
    from workpool.sync import WorkerPool

Job = Future[list[Any]]
Callback = Callable[[Job], object]

_JOBLIB_SHARES_FROM = 1 << 20
_SHARING_PAYS_FROM = 1 << 17
"""Bytes from which an array is shared where nobody has given `max_nbytes`. joblib's own limit is for
files; to open and map memory takes a worker as long as to copy about this much, and the parent saves all."""


# joblib has no types.
class WorkpoolBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]
    """Runs the calls of a `joblib.Parallel` in the workers of a pool.

    The pool is kept for later calls with the same number of jobs, inner threads and options.

    Arguments, also to be given to `joblib.parallel_config` and `joblib.Parallel`:
        inner_max_num_threads: threads that OpenMP, BLAS and their like may use in each worker; the
            CPUs divided by the number of jobs if None.
        initializer, initargs: called once in each worker, before anything else.
        env, idle_timeout, max_memory_per_worker, max_tasks_per_worker, name, retries, worker_output: as for
            `workpool.WorkerPool`; a task is a batch of calls here. A worker is idle for at most five
            minutes unless told otherwise; `idle_worker_timeout`, loky's word for it, will do too.

    Raises `TypeError` for other arguments.
    """

    supports_retrieve_callback = True
    supports_inner_max_num_threads = True
    default_n_jobs = -1
    """Whoever names this backend wants to use the machine."""

    parallel: Any = None

    def __init__(
        self,
        nesting_level: int | None = None,
        inner_max_num_threads: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(nesting_level=nesting_level, inner_max_num_threads=inner_max_num_threads)
        self._options = _checked(options)
        self._pool: WorkerPool[Any, list[Any]] | None = None
        self._share = partial(Arrays, None)
        self._arrays = self._share()
        self._callbacks: CallbackThread
        self._lock = threading.Lock()  # over the two below
        self._pending: dict[Job, None] = {}
        self._aborting = False

    # A call's beginning

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Return how many workers `n_jobs` asks for; below zero, counted back from the CPUs."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            return 1
        return n_jobs if n_jobs > 0 else max(1, int(cpu_count()) + 1 + n_jobs)

    def configure(
        self,
        n_jobs: int = 1,
        parallel: Any = None,
        prefer: str | None = None,
        require: str | None = None,
        *,
        max_nbytes: int | None = _JOBLIB_SHARES_FROM,
        mmap_mode: str | None = "r",
        temp_folder: object = None,
        context: object = None,
        verbose: int = 0,
        **options: Any,
    ) -> int:
        """Get a pool for the calls of `parallel`; return how many workers it has."""
        n_jobs = self.effective_n_jobs(n_jobs)
        if (other := self._replacement(n_jobs, parallel)) is not None:
            raise FallbackToBackend(other)
        self.terminate()
        env = self._prepare_worker_env(n_jobs=n_jobs)
        self._pool = _pools.acquire(
            _pools.Wanted(n_jobs, env, {**self._options, **_checked(options)})
        )
        written_by_all = mmap_mode in ("r+", "w+")
        if max_nbytes == _JOBLIB_SHARES_FROM and not written_by_all:
            max_nbytes = _SHARING_PAYS_FROM
        self._share = partial(
            Arrays, None if mmap_mode is None else max_nbytes, written_by_all=written_by_all
        )
        self._callbacks = CallbackThread()
        self._renew()
        return n_jobs

    def _replacement(self, n_jobs: int, parallel: Any) -> ParallelBackendBase | None:
        """Return the backend to use in the place of this one, if there is a reason for that."""
        level = self.nesting_level
        if n_jobs == 1:
            return SequentialBackend(nesting_level=level)
        if _worker.serving or (level and multiprocessing.parent_process() is not None):
            # As joblib has it by default below a call that runs in processes.
            kind = ThreadingBackend if (level or 0) <= 1 else SequentialBackend
            return kind(nesting_level=level)
        if self.parallel is parallel:
            return None
        # One instance may stand behind several `Parallel`s, whose calls may overlap (generators):
        # each gets its own, so that what one aborts is not another's.
        own = type(self)(level, self.inner_max_num_threads, **self._options)
        own.parallel = parallel
        return own

    def start_call(self) -> None:
        """Begin anew: arrays may have changed since the last call."""
        self._renew()

    def _renew(self) -> None:
        # joblib (1.6) keeps what it has read and not dispatched when a call ends in an error: the next
        # call of the same `Parallel` would begin with it, and return its results.
        ready = getattr(self.parallel, "_ready_batches", None)
        while ready is not None and not ready.empty():
            ready.get_nowait()
        self._arrays = self._share()
        self._aborting = False

    # Batches

    def submit(self, func: Any, callback: Callback | None = None) -> Job:
        """Add a batch of calls as a task; `callback` is called with its future."""
        assert self._pool is not None
        batch = Batch(func, self._arrays)
        job: Job
        try:
            job = self._pool.add_task(batch)
        except PoolClosed as error:  # joblib would wait for ever if this were raised in a callback
            _pools.give_up(self._pool)
            job = Future()
            job.set_exception(error)
        with self._lock:
            self._pending[job] = None
            late = self._aborting
        job.add_done_callback(partial(self._on_done, batch, callback))
        if late:
            job.cancel()
        return job

    apply_async = submit  # its name before joblib 1.5

    def _on_done(self, batch: Batch, callback: Callback | None, job: Job) -> None:
        with self._lock:
            self._pending.pop(job, None)
        batch.let_go()
        if callback is not None:
            self._callbacks.post(partial(callback, job))

    def retrieve_result_callback(self, out: Job) -> list[Any]:
        """Return the results of a batch, or raise what it raised."""
        return out.result()

    # The end

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Cancel what waits and interrupt what runs, of this call alone. Does not wait for it."""
        with self._lock:
            self._aborting = True
            pending = list(self._pending)
        for job in pending:
            job.cancel()

    def terminate(self) -> None:
        """Let go of the pool, which is kept for the next call."""
        pool, self._pool = self._pool, None
        if pool is not None:
            self._callbacks.end()
            _pools.release(pool)
        self._arrays = Arrays(None)  # the copies of large arrays end here
        self.reset_batch_stats()


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    """Return options as a pool has them; `TypeError` for an unknown one."""
    options = dict(options)
    if (seconds := options.pop("idle_worker_timeout", None)) is not None:
        options["idle_timeout"] = seconds
    for name in options:
        if name not in _pools.OPTIONS:
            raise TypeError(
                f"the joblib backend 'workpool' has no argument {name!r}; it has "
                f"inner_max_num_threads, {', '.join(_pools.OPTIONS)}"
            )
    return options
