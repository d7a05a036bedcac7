"""The fleet: the worker processes of a pool. Starts, watches, replaces, retires and ends them."""

from __future__ import annotations

import asyncio
import errno
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any, Protocol

from workpool._frames import MAIL_MESSAGE, MAIL_STOP
from workpool._launcher import Launcher
from workpool._patient_timer import PatientTimer
from workpool._requests import Requests
from workpool._restarts import Restarts
from workpool._serialization import dumps
from workpool._system.forked_process import ForkedProcess
from workpool._system.mail import INLINE_BYTES
from workpool._system.memory import write_parcel
from workpool._system.process import ExitStatus, Process
from workpool._system.status_page import IDLE, REPORTS_READ, STOLEN
from workpool._worker_handle import WorkerHandle
from workpool._worker_process import (
    EXITED,
    READY,
    RETIRING,
    STARTING,
    WorkerProcess,
)
from workpool.errors import WorkerStartError

if TYPE_CHECKING:
    from workpool._dispatcher import Dispatcher
    from workpool._options import PoolOptions
    from workpool._target import Target

START_TIMEOUT = 60.0
"""Seconds until a worker must be ready: the imports of an entrypoint may be slow, a start hook may
load a model; one that takes longer hangs."""

MOST_STARTS = 5
"""Starts in a row, in one slot, that may end before the worker is ready."""

CUT_OFF_GRACE = 1.0
"""Seconds a process may take to end after its descriptors were closed: microseconds, as a rule."""

EXIT_GRACE = 10.0
"""Seconds a worker that was asked to stop has for its exit hook before it is killed."""

START_GRACE = 1.0
"""Seconds a worker that is still starting has for ending when the pool is left on an error."""

_LIMITS = (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM)


class Owner(Protocol):
    """What the fleet tells the engine."""

    def worker_launched(self, worker: WorkerProcess) -> None: ...
    def worker_exited(self, worker: WorkerProcess, status: ExitStatus) -> bool: ...
    def cannot_start(self, slot: int, error: BaseException) -> None: ...
    def read_reports(self, worker: WorkerProcess, *, to_end: bool = False) -> None: ...
    def worker_leaving(self, worker: WorkerProcess) -> None: ...
    def templates_ended(self) -> None: ...


class Fleet:
    """The worker processes, by slot."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        options: PoolOptions,
        target: Target,
        workers: list[WorkerProcess | None],
        owner: Owner,
        unpickle: Callable[[bytes], Any],
    ) -> None:
        self.workers = workers
        self.live = 0
        """How many workers there are that have not been asked to stop."""
        self.restarts = 0
        self.asked_restarts = Restarts(loop, len(workers))
        self.requests = Requests(loop, unpickle)
        self.dispatcher: Dispatcher
        self.new_handle: Callable[[WorkerProcess, Fleet], WorkerHandle] = WorkerHandle
        self._loop = loop
        self._thread = get_ident()
        self._launcher = Launcher(loop, options, target)
        self._templates = self._launcher.templates
        self._templates.on_end = owner.templates_ended
        self._stopping = False
        self._owner = owner
        self._failed_starts = [0] * len(workers)

    # Starting

    def start(self, slot: int) -> bool:
        """Start a worker in an empty slot; tell the owner and return False if it cannot be."""
        try:
            worker = self._launcher.launch(
                slot,
                self.dispatcher,
                self.asked_restarts.settings[slot],
                suspect=self._failed_starts[slot] > 0,
            )
        except Exception as error:  # noqa: BLE001 - OSError, or what pickling the entrypoint raises
            self._cannot_start(slot, self._start_error(error))
            return False
        worker.handle = self.new_handle(worker, self)
        worker.on_mail_sent = partial(self.dispatcher.wakeups.count_mail, slot)
        try:
            self._loop.add_reader(worker.report, self._owner.read_reports, worker)
            self._loop.add_reader(worker.process.descriptor, self._on_exit, worker)
        except OSError as error:
            worker.abort()
            self._cannot_start(slot, self._start_error(error))
            return False
        worker.timer = PatientTimer(self._loop, START_TIMEOUT, self._check_started, worker)
        self.workers[slot] = worker
        self.live += 1
        self._owner.worker_launched(worker)
        return True

    def ready(self, worker: WorkerProcess, *, is_async: bool) -> None:
        """Note that a worker's start hook is done."""
        worker.is_async = is_async
        if worker.state == STARTING:
            worker.state = READY
            worker.timer.cancel()  # of one that is to stop it is another by now
        worker.got_ready = True
        self._failed_starts[worker.slot] = 0
        self.asked_restarts.ready(worker)

    def empty_slot(self) -> int | None:
        """Return the first slot without a process, or None."""
        for slot, worker in enumerate(self.workers):
            if worker is None:
                return slot
        return None

    @property
    def any_ready(self) -> bool:
        """Whether any worker has got through its start."""
        return any(worker is not None and worker.state == READY for worker in self.workers)

    # Ending

    def retire(self, worker: WorkerProcess) -> None:
        """Ask a worker to end gracefully between tasks."""
        if worker.state in (STARTING, READY):
            worker.exit_reason = worker.exit_reason or "retired"
            self.leaving(worker)
            self.dispatcher.wakeups.post(worker.slot, MAIL_STOP)

    async def restart(
        self, worker: WorkerProcess, env: Mapping[str, str], arguments: Any, *, has_arguments: bool
    ) -> WorkerHandle:
        """End the worker in a slot gracefully and start another there, with other settings."""
        slot = worker.slot
        waiting = self.asked_restarts.ask(slot, env, arguments, has_arguments=has_arguments)
        current = self.workers[slot]
        if current is None:
            self.start(slot)
        else:
            current.exit_reason = current.exit_reason or "restarted"
            self.retire(current)
        return await asyncio.shield(waiting)

    def leaving(self, worker: WorkerProcess) -> None:
        """Note that a worker is ending by itself: nothing more is sent to it."""
        if worker.state in (STARTING, READY):
            worker.state = RETIRING
            self.live -= 1
            self._owner.worker_leaving(worker)

    def exiting(self, worker: WorkerProcess) -> None:
        """Note that a worker is running its exit hook; it has a limited time for that."""
        self.leaving(worker)
        self._kill_after(worker, EXIT_GRACE)

    def kill(self, worker: WorkerProcess, reason: str = "it was told to") -> None:
        """End a worker with SIGKILL."""
        if worker.state != EXITED:
            worker.exit_reason = worker.exit_reason or "killed"
            worker.killed_for = worker.killed_for or reason
            worker.process.send_signal(signal.SIGKILL)

    def give_up(self, worker: WorkerProcess, reason: str) -> None:
        """Kill a worker whose reports cannot be read, or do not come here, any more."""
        if worker.state != EXITED:
            worker.unreadable = True
            worker.stop_reading(worker.report)
            self.kill(worker, reason)

    def cut_off(self, worker: WorkerProcess) -> None:
        """Note the end of a worker's reports: it is ending, or a task has closed the pipe."""
        self._loop.call_later(CUT_OFF_GRACE, self.give_up, worker, "it had closed its report pipe")

    def stop_all(self, *, hurried: bool = False) -> None:
        """Ask every worker to end gracefully; those that have not after a grace are killed.

        In a hurry those that have not even started get less of it: they have nothing to end.
        """
        self.asked_restarts.close()
        for worker in self.present():
            grace = START_GRACE if hurried and not worker.got_ready else EXIT_GRACE
            self.retire(worker)
            self._kill_after(worker, grace)
        self._stopping = True
        self._templates.stop()
        self._end_templates_after_workers()

    def kill_all(self) -> None:
        """End and reap every worker, without an event loop."""
        self.asked_restarts.close()
        for worker in self.present():
            self.kill(worker)
        for worker in self.present():
            worker.stop_watching()
            status = worker.process.reap(wait=True) or ExitStatus(None, None)
            self._gone(worker)
            self._owner.worker_exited(worker, status)
        self._templates.kill_and_reap()

    def abandon(self) -> None:
        """Let go of every worker as if this process had ended.

        Idle workers notice and run their exit hooks, the kernel ends busy ones; a thread reaps them.
        """
        self.asked_restarts.close()
        present = self.present()
        for worker in present:
            worker.stop_watching()
            worker.close()
            self.workers[worker.slot] = None
            worker.state = EXITED
        processes: list[Process | ForkedProcess] = [worker.process for worker in present]
        processes += self._templates.abandon()
        if processes and not sys.is_finalizing():
            with suppress(RuntimeError):  # the interpreter ends: so will they
                threading.Thread(target=_reap, args=(processes,), daemon=True).start()

    def let_go_in_child(self) -> None:
        """In a forked child: close our copies of the descriptors, leave the processes alone."""
        for worker in self.present():
            worker.close()
            worker.process.close()
            self.workers[worker.slot] = None
            worker.state = EXITED
        self._templates.let_go_in_child()

    def count_read(self, worker: WorkerProcess, size: int) -> None:
        """Tell a worker how far its reports have been read."""
        worker.bytes_read += size
        page = self.dispatcher.page
        page.words[page.field(worker.slot, REPORTS_READ)] = worker.bytes_read

    def present(self) -> list[WorkerProcess]:
        """Return the workers that have a process."""
        return [worker for worker in self.workers if worker is not None]

    @property
    def all_gone(self) -> bool:
        """Whether there is neither a worker nor what workers are made by."""
        return not self.present() and not self._templates

    # What handles ask for

    def state_of(self, worker: WorkerProcess) -> str:
        """Return a worker's state in the words of `WorkerHandle.state`."""
        if worker.state != READY:
            return worker.state
        return "idle" if self.idle_since(worker) else "busy"

    def idle_since(self, worker: WorkerProcess) -> int:
        """Return since when (perf_counter_ns) a worker has had nothing to do, 0 if it is busy.

        The flag of an async worker is up while it could take more, also beside what it runs.
        """
        page = self.dispatcher.page
        since = int(page.words[page.field(worker.slot, IDLE)])
        return 0 if any(begun for _, begun in page.held(worker.slot)) else since

    def stolen_by(self, worker: WorkerProcess) -> int:
        """Return how many tasks a worker has taken from others' queues."""
        if worker.state == EXITED:
            return 0
        page = self.dispatcher.page
        return int(page.words[page.field(worker.slot, STOLEN)])

    def load_of(self, worker: WorkerProcess) -> float:
        """Return the estimated seconds of unfinished work dispatched to a worker's slot."""
        return self.load(worker.slot)

    load: Callable[[int], float]

    def post_message(self, worker: WorkerProcess, kind: str, content: Any) -> None:
        """Send a message to one worker, from any thread; lost if it has ended."""
        data = MAIL_MESSAGE + dumps((kind, content), side="pool", subject="message")
        self.in_loop(self._post_message, worker, data)

    def in_loop(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call a function in the event loop's thread: now, if this is it."""
        if get_ident() == self._thread:
            function(*arguments)
        else:
            with suppress(RuntimeError):  # the loop is closed, so the workers have ended
                self._loop.call_soon_threadsafe(function, *arguments)

    def _post_message(self, worker: WorkerProcess, data: bytes) -> None:
        if worker.state == EXITED or self.workers[worker.slot] is not worker:
            return
        if len(data) <= INLINE_BYTES:
            self.dispatcher.wakeups.post_work(worker.slot, data)
        else:
            self.dispatcher.wakeups.post_work(worker.slot, MAIL_MESSAGE, write_parcel(data[1:], []))

    # Inside

    def _kill_after(self, worker: WorkerProcess, grace: float) -> None:
        reason = f"it had not ended after {grace:g} seconds"
        worker.timer.cancel()
        worker.timer = PatientTimer(self._loop, grace, self.kill, worker, reason)

    def _on_exit(self, worker: WorkerProcess) -> None:
        worker.status = worker.status or worker.process.reap()
        if worker.status is None:
            return
        if isinstance(worker.process, ForkedProcess) and worker.process.failure is not None:
            worker.start_error = worker.start_error or self._start_error(worker.process.failure)
        # Whatever fails until it is watched no more, for lack of memory, brings this back.
        self._owner.read_reports(worker, to_end=True)  # what was reported counts
        for reader in worker.output_readers:
            reader.finish()
        worker.stop_watching()
        worker.was_retiring = worker.state == RETIRING
        worker.never_ready = not worker.got_ready and not worker.was_retiring
        self._gone(worker)
        try_again = self._owner.worker_exited(worker, worker.status)
        if try_again:
            self._start_failed(worker, worker.status)

    def _cannot_start(self, slot: int, error: BaseException) -> None:
        self.asked_restarts.failed(slot, error)
        self._owner.cannot_start(slot, error)

    def _gone(self, worker: WorkerProcess) -> None:
        self.requests.worker_ended(worker)
        if worker.state in (STARTING, READY):
            self.live -= 1
        worker.state = EXITED
        worker.timer.cancel()
        self.workers[worker.slot] = None
        worker.stop_watching()  # again: its last reports may have made the pool write to it
        worker.close()
        worker.process.close()
        self._end_templates_after_workers()

    def _end_templates_after_workers(self) -> None:
        if self._stopping and not self.present():
            self._templates.kill()

    def _start_failed(self, worker: WorkerProcess, status: ExitStatus) -> None:
        slot = worker.slot
        self._failed_starts[slot] += 1
        error = worker.start_error
        if error is None and self._failed_starts[slot] < MOST_STARTS:
            self.restarts += 1
            self.start(slot)
            return
        self._failed_starts[slot] = 0
        self._cannot_start(
            slot,
            error
            or WorkerStartError(
                f"worker {slot} {status} before it was ready, {MOST_STARTS} times in a row. Look "
                "at what the entrypoint's module does when it is imported, and at on_worker_start.",
                exit_code=status.returncode,
                output="\n".join(worker.last_lines),
            ),
        )

    def _check_started(self, worker: WorkerProcess) -> None:
        if worker.state != EXITED and not worker.got_ready:
            worker.start_error = WorkerStartError(
                f"worker {worker.slot} was not ready after {START_TIMEOUT:g} seconds: the "
                "entrypoint's import or its on_worker_start hangs.",
                output="\n".join(worker.last_lines),
            )
            if not worker.process.pid:
                self._templates.kill()  # it is what hangs
            self.kill(worker)

    def _start_error(self, error: Exception) -> BaseException:
        if not isinstance(error, OSError):
            return error
        likely = (
            " Probably the limit on processes, open files or memory has been reached."
            if error.errno in _LIMITS
            else ""
        )
        wrapped = WorkerStartError(f"a worker process could not be started: {error}.{likely}")
        wrapped.__cause__ = error
        return wrapped


def _reap(processes: list[Process | ForkedProcess]) -> None:
    deadline = time.monotonic() + EXIT_GRACE
    for process in processes:
        while process.reap() is None:
            if time.monotonic() > deadline:
                process.send_signal(signal.SIGKILL)
            time.sleep(0.005)
        process.close()
