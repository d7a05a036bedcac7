"""`Executor`: workpool behind the interface of `concurrent.futures`."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent import futures
from itertools import islice
from multiprocessing.process import current_process
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from workpool._checks import check_count
from workpool._chunk_size import ChunkSize
from workpool._entrypoint import Entrypoint
from workpool._executor_map import BulkJob, results, submit_all
from workpool._executor_pool import ExecutorPool, ExecutorStartError, Future
from workpool._functions_of_main import portable, shown_function
from workpool._options import StartMethod, WorkerOutput, usable_cpus
from workpool._retry_policy import RetryPolicy
from workpool._serialization import brief
from workpool._source_methods import takes_chunks
from workpool._source_reader import SourceReader, has_items
from workpool._worker.calls import Start, call, call_each
from workpool.errors import PoolClosed
from workpool.sync._chunk_map import results_of
from workpool.sync._exit import is_exiting
from workpool.sync._service import Service

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext

__all__ = ["Executor", "ExecutorStartError", "Future"]

P = ParamSpec("P")
T = TypeVar("T")

_OF_MAIN = ("__main__", "functools")
"""Where functions say they are from that may be of `__main__`: a partial one does not know better."""


class Executor(futures.Executor):
    """A `concurrent.futures.Executor`: what is written for `ProcessPoolExecutor` runs unchanged.

    Use it as ``with Executor() as executor: executor.submit(function, *args).result()``, from any
    thread, from done callbacks, with `concurrent.futures.wait` and `as_completed`, or with
    ``loop.run_in_executor``. Unlike with a `ProcessPoolExecutor`, a worker that dies fails the one
    call that it ran, with `WorkerCrashed` (also a `BrokenProcessPool`), and the executor goes on.

    At its exit the interpreter waits for the calls that are pending, as it does for every executor. An
    executor that nobody holds any more finishes them and ends.

    Arguments:
        max_workers: most worker processes; the CPUs this process may use if None.
        mp_context: taken for compatibility. Workers are always interpreters of their own, started
            when they are needed; nothing is inherited as by a fork.
        initializer, initargs: called once in each worker, before its first call. If it fails, what
            waits fails with `ExecutorStartError`, also a `BrokenProcessPool`, and so does `submit`.
        max_tasks_per_child: a worker is replaced after so many calls.
        timeout, retries, max_memory_per_worker, idle_timeout, env, worker_output, name, start_method:
            as for `workpool.WorkerPool`, for each call. A template imports the initializer's module.

    Raises `ValueError` or `TypeError` for arguments that cannot be right.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        mp_context: BaseContext | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        max_tasks_per_child: int | None = None,
        timeout: float | None = None,
        retries: int | RetryPolicy = 0,
        max_memory_per_worker: int | None = None,
        idle_timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        worker_output: WorkerOutput = "inherit",
        name: str | None = None,
        start_method: StartMethod = "spawn",
    ) -> None:
        self._check(max_workers, mp_context, initializer, max_tasks_per_child)
        self._max_workers = usable_cpus() if max_workers is None else max_workers
        start = Start(
            None if initializer is None else portable(initializer),
            tuple(initargs),
            bytes(current_process().authkey),
        )
        self._pool = ExecutorPool(
            Entrypoint(call.__module__, call.__name__, on_worker_start=start),
            max_workers=max_workers,
            timeout=timeout,
            retries=retries,
            max_tasks_per_worker=max_tasks_per_child,
            max_memory_per_worker=max_memory_per_worker,
            idle_timeout=idle_timeout,
            env=env,
            worker_output=worker_output,
            name=name,
            start_method=start_method,
        )
        self._pool.has_initializer = initializer is not None

    # Not of our own kind for type checkers: the keys of a dictionary would not fit `as_completed` then.
    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> futures.Future[T]:
        """Call a function in a worker; return the future of what it returns. Does not block.

        Function and arguments are pickled later: do not change them meanwhile. What cannot be
        pickled fails the future with `SerializationError`, also a `pickle.PicklingError`.

        Raises `PoolClosed`, a `RuntimeError`, after `shutdown`; `RuntimeError` at the interpreter's
        exit; `ExecutorStartError` if the initializer has failed.
        """
        function: Any = self._portable(fn)
        try:
            return self._pool.submit((function, args, kwargs) if kwargs else (function, args))
        except PoolClosed:
            raise self._refusal() from None

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
        strict: bool = False,
    ) -> Iterator[T]:
        """Call a function with the items of the iterables side by side; iterate over the results.

        The calls are submitted at once, or at most `buffersize` of them (chunks, if there are any) before
        their results are asked for. The results come in the order of the items. The first failure is
        raised in its place and ends the iteration. Leaving it early cancels what has not begun. So does an
        iterable that raises: here, at the call, or with `buffersize` when it comes to be read so far.

        Arguments:
            timeout: seconds from now until the last result must be there, else `TimeoutError`.
            chunksize: with 1, the default, items travel together as it turns out to be good for
                their cost, and costly ones by themselves; otherwise so many, at most 65,535 (the items of
                a chunk are pickled together). With `buffersize`, or `timeout` or `retries` of the executor,
                1 is 1.
            strict: raise `ValueError` if the iterables have different lengths, instead of ending with
                the shortest.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        check_count("chunksize", chunksize, at_least=1)
        if buffersize is not None:
            check_count("buffersize", buffersize, at_least=1)
        end = None if timeout is None else time.monotonic() + timeout
        if buffersize is None and takes_chunks(self._pool._pool, ChunkSize(1)):
            return self._map_in_chunks(fn, iterables, end, chunksize, strict=strict)
        items = zip(*iterables, strict=strict)
        if chunksize == 1:
            calls = (self._submitted(fn, arguments) for arguments in items)
            return _results(_first(calls, buffersize), calls, end)
        function = portable(fn)
        chunks = iter(lambda: list(islice(items, chunksize)), [])
        batches = (self._submitted(call_each, (function, chunk)) for chunk in chunks)
        return _one_by_one(_results(_first(batches, buffersize), batches, end))

    def _map_in_chunks(
        self,
        fn: Callable[..., T],
        iterables: tuple[Iterable[Any], ...],
        end: float | None,
        chunksize: int,
        *,
        strict: bool,
    ) -> Iterator[T]:
        try:
            service = self._pool._open()
        except PoolClosed:
            raise self._refusal() from None
        one, *others = iterables or ((),)
        spread = bool(others)
        source = zip(*iterables, strict=strict) if spread else one
        reader = SourceReader(source, instant=spread and all(map(has_items, iterables)))
        size = ChunkSize(self._max_workers, None if chunksize == 1 else chunksize)
        job = BulkJob(self._pool, size, self._portable(fn), spread=spread)
        submit_all(job, service.thread, reader)
        return results_of(results(job, end))

    def _submitted(self, fn: Callable[..., T], arguments: tuple[Any, ...]) -> Future[T]:
        return cast(Future[T], self.submit(fn, *arguments))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; end when those that were submitted are done.

        `wait` until everything has ended, the workers too. With `cancel_futures` what no worker has
        begun is cancelled. If the wait is interrupted, by Ctrl-C, say, everything is killed.
        """
        how = Service.cancel_unbegun_and_finish if cancel_futures else Service.finish
        self._pool.end(how, wait=wait)

    def kill_workers(self) -> None:
        """Kill all workers at once and end, as Python 3.14 has it. Pending calls fail with `PoolClosed`."""
        self._pool.kill()

    terminate_workers = kill_workers

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None:
        if exc_type is not None and issubclass(exc_type, KeyboardInterrupt):
            # It interrupts the calls too, as it would if the workers were in the terminal's reach.
            self._pool.spares_running = False
            self._pool.end(Service.cancel_and_finish, wait=True)
            return False
        return super().__exit__(exc_type, exc_val, exc_tb)

    def __del__(self) -> None:
        pool = getattr(self, "_pool", None)
        if pool is not None:
            pool.dispose()

    @staticmethod
    def _portable(fn: Callable[..., Any]) -> Any:
        """Return what to pickle in a function's place; one that cannot be fails when that is tried."""
        if getattr(fn, "__module__", None) not in _OF_MAIN:
            return fn
        try:
            return portable(fn)
        except Exception as error:  # noqa: BLE001 - whatever pickling somebody's function raises
            return _Unpicklable(fn, error)

    def _refusal(self) -> BaseException:
        if self._pool.broken is not None:
            return ExecutorStartError(self._pool.broken)
        if is_exiting():
            return RuntimeError("cannot schedule new futures after interpreter shutdown")
        return PoolClosed("cannot schedule new futures after shutdown")

    @staticmethod
    def _check(
        max_workers: int | None,
        mp_context: BaseContext | None,
        initializer: object,
        max_tasks_per_child: int | None,
    ) -> None:
        """Refuse what a ProcessPoolExecutor refuses, in its words where programs look for them."""
        if max_workers is not None and max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if mp_context is not None and not hasattr(mp_context, "get_start_method"):
            raise TypeError(
                "mp_context must be a context, as multiprocessing.get_context() returns one, or None, "
                f"not {brief(mp_context)}"
            )
        if max_tasks_per_child is None:
            return
        if not isinstance(max_tasks_per_child, int):
            raise TypeError("max_tasks_per_child must be an integer")
        if max_tasks_per_child <= 0:
            raise ValueError("max_tasks_per_child must be >= 1")
        if mp_context is not None and mp_context.get_start_method(allow_none=False) == "fork":
            raise ValueError(
                "max_tasks_per_child is incompatible with the 'fork' multiprocessing start method; "
                "supply a different mp_context, or none: workers are not forked anyway"
            )


class _Unpicklable:
    """Stands for a function that cannot be pickled, and says so where that is tried."""

    def __init__(self, function: object, error: Exception) -> None:
        self._text = shown_function(function)
        self._error = error

    def __reduce__(self) -> str:
        raise self._error

    def __repr__(self) -> str:
        return self._text


def _first(calls: Iterator[Future[T]], count: int | None) -> deque[Future[T]]:
    """Return the futures of the first calls; cancel them if the next cannot be made."""
    futures: deque[Future[T]] = deque()
    try:
        futures.extend(islice(calls, count))
    except BaseException:
        for future in futures:
            future._cancel_soon()
        raise
    return futures


def _results(
    pending: deque[Future[T]], more: Iterator[Future[T]], end: float | None
) -> Iterator[T]:
    try:
        while pending:
            pending.extend(islice(more, 1))
            yield _result_or_cancel(pending.popleft(), end)
    finally:  # in any thread, when the iterator is collected
        for future in pending:
            future._cancel_soon()


def _result_or_cancel(future: Future[T], end: float | None) -> T:
    try:
        return future.result(None if end is None else end - time.monotonic())
    finally:
        future._cancel_soon()


def _one_by_one(lists: Iterator[list[T]]) -> Iterator[T]:
    """Yield the items of lists, and keep none of them alive."""
    for items in lists:
        items.reverse()
        while items:
            yield items.pop()
