"""A worker's life: receive the configuration, start, serve, exit."""

from __future__ import annotations

import faulthandler
import os
import sys

from workpool import _frames as frames
from workpool._quick import pickle, socket
from workpool._serialization import pack_error
from workpool._system import mail
from workpool._system.deadline import end_within
from workpool._system.liveness import Liveness, ParentGone
from workpool._system.memory import read_parcel, replace_mapped_files
from workpool._worker import interrupts
from workpool._worker.client import WorkerClient
from workpool._worker.hooks import Caller, print_traceback
from workpool._worker.reporter import Reporter
from workpool._worker.resolve import load_target, resolve
from workpool._worker.worker import Worker
from workpool._worker_config import WorkerConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from workpool._worker.logs import ReportSender
    from workpool._worker.template import Prepared

EXIT_SECONDS_AFTER_PARENT = 0.8
"""A worker must be gone within a second of its parent, its exit hook included."""

LONGEST_EXIT = 12.0
"""Seconds; more than the pool waits before it kills a worker that does not end. For the one whose pool is
gone and whose exit hook, begun before, neither gives up the GIL nor minds a signal."""


def main(
    mail_descriptor: int,
    report_descriptor: int,
    liveness_descriptor: int,
    prepared: Prepared | None = None,
) -> None:
    """Run a worker from its first to its last breath, or on from what its template has prepared."""
    interrupts.ignore_until_asked()
    mailbox = socket.socket(fileno=mail_descriptor)
    config = receive_config(mailbox)
    if config is None:
        return  # the parent ended before it could say anything
    if prepared is not None and prepared.numbers_here is not None:
        config.renumber(prepared.numbers_here)
    # fault point: configured
    reporter = Reporter(report_descriptor, mailbox)
    liveness = Liveness(liveness_descriptor)
    private = [mail_descriptor, report_descriptor, liveness_descriptor]
    _keep_to_ourselves([*private, *config.shared_descriptors], liveness)
    try:
        liveness.guard()
        set_up_streams()
        if prepared is None:
            prepare(config, reporter)
        else:
            prepared.take_over(config, reporter)
        _run(config, mailbox, reporter, liveness)
    except ParentGone:
        pass
    except Exception:  # noqa: BLE001 - a fault of this package, or a task that broke its worker
        print_traceback()
        os._exit(1)  # whatever threads the tasks have left must not keep this process
    finally:
        mailbox.detach()  # the end of the process closes it


def prepare(config: WorkerConfig, sender: ReportSender) -> None:
    """Make this interpreter one in which the user's modules can be imported."""
    from workpool._worker.logs import watch_logging

    watch_logging(sender, config.log_levels)
    sys.path[:] = config.sys_path
    sys.argv[:] = config.argv


def _run(
    config: WorkerConfig, mailbox: socket.socket, reporter: Reporter, liveness: Liveness
) -> None:
    client = WorkerClient(config.slot, reporter)
    caller = Caller(client)
    try:
        if config.start_arguments is not None:
            client.start_arguments = pickle.loads(config.start_arguments)
        # fault point: before the import
        entry = resolve(load_target(config.target))
        # fault point: imported
        if entry.on_worker_start is not None:
            caller.run(entry.on_worker_start, client)
    except BaseException as error:
        if isinstance(error, ParentGone):
            raise
        _report_failed_start(reporter, error)
        return
    # fault point: started
    worker = Worker(config, mailbox, reporter, liveness, client, caller, entry)
    loop = _choose_loop(worker)
    # fault point: ready, not yet said
    reporter.send(frames.READY, 0, pickle.dumps((entry.is_async, entry.takes_batches)))
    try:
        reason = loop(worker)
    except ParentGone:
        reason = "the parent is gone"
    # fault point: stopping
    end_within(LONGEST_EXIT)
    liveness.linger(_hurry)
    _exit(worker, reason)


def _choose_loop(worker: Worker) -> Any:
    if worker.entry.is_async:
        from workpool._worker.async_loop import serve

        return serve
    from workpool._worker.sync_loop import serve as serve_synchronously

    return serve_synchronously


def _exit(worker: Worker, reason: str) -> None:
    # fault point: lingering
    hook = worker.entry.on_worker_exit
    try:  # noqa: SIM105 - contextlib is not imported in every worker
        # First, so that the pool counts on this worker no more while the hook runs.
        worker.reporter.send(frames.EXITING, 0, pickle.dumps((reason, b"")))
    except ParentGone:
        pass
    # fault point: exit announced
    if hook is not None:
        try:
            worker.caller.run(hook, worker.client)
        except BaseException as failure:  # noqa: BLE001 - the user's hook
            _report_failed_exit(worker.reporter, failure)
    # fault point: exit hook done
    worker.caller.close()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            flush(stream)


def flush(stream: Any) -> None:
    """Write out what is buffered. If nobody reads it any more it goes nowhere, without a word."""
    try:
        stream.flush()
        return
    except (OSError, ValueError):  # the reader is gone, or a task has closed the stream
        pass
    try:  # noqa: SIM105 - the interpreter flushes once more when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except (OSError, ValueError):
        pass


def _report_failed_exit(reporter: Reporter, failure: BaseException) -> None:
    error = pack_error(failure, side="worker")
    try:  # noqa: SIM105 - contextlib is not imported in every worker
        reporter.send(frames.EXITING, 0, pickle.dumps(("on_worker_exit raised", error)))
    except ParentGone:
        pass


def _hurry() -> None:
    """See to it that this process ends soon: nobody waits for it any more."""
    end_within(EXIT_SECONDS_AFTER_PARENT)


def _report_failed_start(reporter: Reporter, error: BaseException) -> None:
    from workpool.errors import EntrypointError

    kind = "entrypoint" if isinstance(error, EntrypointError) else "hook"
    reporter.send(frames.START_FAILED, 0, pickle.dumps((kind, pack_error(error, side="worker"))))


def receive_config(mailbox: socket.socket) -> WorkerConfig | None:
    """Wait for the first thing that the pool says; None if it ends before."""
    data, descriptor = mail.receive(mailbox, wait=True)
    if descriptor is not None:
        data = bytes(read_parcel(descriptor)[0])
    return pickle.loads(data) if data else None


def _keep_to_ourselves(ours: list[int], liveness: Liveness) -> None:
    """Let no program or forked child of a task hold the pool's descriptors.

    One that did would keep a dead pool's queues, and our own liveness, alive.
    """
    for descriptor in ours:
        os.set_inheritable(descriptor, False)

    def close_in_child() -> None:
        for descriptor in ours:
            try:  # noqa: SIM105 - as below
                os.close(descriptor)
            except OSError:
                pass  # the task's own code had closed it
        replace_mapped_files()
        liveness.forked = True

    os.register_at_fork(after_in_child=close_in_child)


def set_up_streams() -> None:
    """Have what goes wrong, and what is printed, seen at once."""
    try:  # noqa: SIM105 - contextlib is not imported in every worker
        # A worker that a fault in native code ends leaves the Python stack where its errors go.
        faulthandler.enable()
    except (AttributeError, OSError, RuntimeError, ValueError):
        pass  # there is no standard error
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(line_buffering=True)  # what a task prints is seen when it prints it
