"""Reads what workers report and takes each report to whom it concerns."""

from __future__ import annotations

import logging
import pickle
from typing import TYPE_CHECKING, Any

from workpool import _frames as frames
from workpool._serialization import FOREIGN_ERRORS, unpack_error, unreadable
from workpool._system.memory import read_parcel, read_returned
from workpool._worker.answers import ANSWER
from workpool.errors import EntrypointError, InternalError, WorkerStartError

if TYPE_CHECKING:
    from collections.abc import Callable

    from workpool._announcer import Announcer
    from workpool._fleet import Fleet
    from workpool._outcomes import Outcomes
    from workpool._revival import Revival
    from workpool._worker_process import WorkerProcess


class ReportReader:
    """Reads report pipes. `on_async()` is called when a worker's entrypoint turns out async."""

    def __init__(
        self,
        outcomes: Outcomes,
        fleet: Fleet,
        announcer: Announcer,
        revival: Revival,
        on_async: Callable[[], None],
        on_takes_batches: Callable[[], None],
    ) -> None:
        self._outcomes = outcomes
        self._fleet = fleet
        self._announcer = announcer
        self._revival = revival
        self._on_async = on_async
        self._on_takes_batches = on_takes_batches
        self._of_tasks: dict[int, Callable[[WorkerProcess, frames.Report], None]] = {
            frames.PART: outcomes.part,
            frames.LAST_PART: outcomes.part,
            frames.ERROR: outcomes.error,
            frames.SKIPPED: outcomes.skipped,
            frames.PRE_TASK_COST: outcomes.pre_task_cost,
        }

    def read(self, worker: WorkerProcess, *, to_end: bool) -> None:
        """Handle what a worker has reported: a stretch of it, or everything if it has ended."""
        data = None if worker.unreadable else worker.read_reports()
        while data:
            self._fleet.count_read(worker, len(data))
            try:
                worker.unread = self._handle_all(worker, worker.unread + data)
            except InternalError as error:
                self._announcer.report_exception("the reports of a worker cannot be read", error)
                self._fleet.give_up(worker, "its reports could not be read")
                return
            data = worker.read_reports() if to_end else None
        if data == b"":
            worker.stop_reading(worker.report)
            if not to_end:
                self._fleet.cut_off(worker)

    def _handle_all(self, worker: WorkerProcess, data: bytes) -> bytes:
        """Handle the whole reports at the beginning of `data`, in their order; return the rest.

        Raises `InternalError` when it comes to something that is no report.
        """
        position = 0
        while True:
            position = self._outcomes.results(worker, data, position)
            report, position = frames.next_report(data, position)
            if report is None:
                return data[position:]
            try:
                self._handle(worker, *report)
            except Exception as error:  # noqa: BLE001 - one report must not cost the others
                self._announcer.report_exception("a report of a worker failed", error)

    def _handle(
        self, worker: WorkerProcess, kind: int, attempt: int, cost: float, body: bytes
    ) -> None:
        if kind & frames.IN_PARCEL:
            kind &= ~frames.IN_PARCEL
            report = (kind, attempt, cost, b"")
            try:
                data, buffers = _open_parcel(worker, body)
            except (OSError, InternalError) as error:
                if not attempt:
                    raise
                self._outcomes.unreceived(worker, report, error)
                return
            if kind == frames.RESULT:
                self._outcomes.parcel(worker, report, data, buffers)
                return
            body = bytes(data)
        if kind & frames.ON_BELT:
            self._handle_on_belt(worker, (kind & ~frames.ON_BELT, attempt, cost, body))
            return
        report = (kind, attempt, cost, body)
        if kind in self._of_tasks:
            self._of_tasks[kind](worker, report)
        elif kind == frames.MESSAGE:
            self._on_message(worker, body)
        elif kind == frames.LOG:
            _log(pickle.loads(body))
        else:
            self._on_life_sign(worker, kind, pickle.loads(body))

    def _handle_on_belt(self, worker: WorkerProcess, report: frames.Report) -> None:
        """Handle a report whose body is a note about the worker's belt."""
        kind, attempt, cost, note = report
        belts = self._fleet.dispatcher.large.belts
        try:
            data, buffers = belts.body(worker.slot, note)
        except InternalError as error:
            if not attempt:
                raise
            self._outcomes.unreceived(worker, report, error.with_traceback(None))
            return
        try:
            if kind == frames.RESULT:
                self._outcomes.parcel(worker, (kind, attempt, cost, b""), data, buffers)
            else:
                self._handle(worker, kind, attempt, cost, bytes(data))
        finally:
            self._fleet.dispatcher.large.read_from_belt(worker.slot, note, data)

    def _on_message(self, worker: WorkerProcess, body: bytes) -> None:
        try:
            kind, content = self._revival.loads(body)
        except FOREIGN_ERRORS as error:
            self._announcer.report_exception(
                "a message of a worker cannot be read", unreadable("message", "pool", error)
            )
            return
        if kind == ANSWER:
            self._fleet.requests.answered(content)
        else:
            self._announcer.deliver(kind, content, worker.handle)

    def _on_life_sign(self, worker: WorkerProcess, kind: int, content: Any) -> None:
        if kind == frames.READY:
            is_async, takes_batches = content
            self._fleet.ready(worker, is_async=is_async)
            if is_async:
                self._on_async()
            if takes_batches:
                self._on_takes_batches()
        elif kind == frames.START_FAILED:
            worker.start_error = _start_error(worker, *content)
        elif kind == frames.EXITING:
            reason, error = content
            worker.exit_reason = worker.exit_reason or reason
            if not error:
                self._fleet.exiting(worker)
            else:
                self._announcer.report_exception(
                    "on_worker_exit raised", unpack_error(error, side="pool")
                )


def _open_parcel(worker: WorkerProcess, number: bytes) -> tuple[Any, list[memoryview]]:
    descriptor, details = worker.receive_parcel(number)
    return read_returned(descriptor, details) if details else read_parcel(descriptor)


def _start_error(worker: WorkerProcess, kind: str, body: bytes) -> BaseException:
    cause = unpack_error(body, side="pool")
    if kind == "entrypoint" and isinstance(cause, EntrypointError):
        return cause
    error = WorkerStartError(
        f"on_worker_start raised in worker {worker.slot}: {type(cause).__name__}: {cause}"
    )
    error.__cause__ = cause
    return error


def _log(attributes: dict[str, Any]) -> None:
    record = logging.makeLogRecord(attributes)
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)
