"""Reads what workers report and takes each report to whom it concerns."""

from __future__ import annotations

import logging
import pickle
from typing import TYPE_CHECKING, Any

from workpool import _frames as frames
from workpool._serialization import FOREIGN_ERRORS, unpack_error, unreadable
from workpool._system.memory import read_parcel
from workpool._worker.answers import ANSWER
from workpool.errors import EntrypointError, InternalError, WorkerStartError

if TYPE_CHECKING:
    from collections.abc import Callable

    from workpool._announcer import Announcer
    from workpool._fleet import Fleet
    from workpool._outcomes import Outcomes
    from workpool._revival import Revival
    from workpool._worker_process import WorkerProcess

_NO_REPORT: frames.Report = (0, 0, 0.0, b"")


class ReportReader:
    """Reads report pipes. `on_async()` is called when a worker's entrypoint turns out async."""

    def __init__(
        self,
        outcomes: Outcomes,
        fleet: Fleet,
        announcer: Announcer,
        revival: Revival,
        on_async: Callable[[], None],
    ) -> None:
        self._outcomes = outcomes
        self._fleet = fleet
        self._announcer = announcer
        self._revival = revival
        self._on_async = on_async

    def read(self, worker: WorkerProcess, *, to_end: bool) -> None:
        """Handle what a worker has reported: a stretch of it, or everything if it has ended."""
        data = None if worker.unreadable else worker.read_reports()
        while data:
            self._fleet.count_read(worker, len(data))
            worker.unread += data
            try:
                self._handle_unread(worker)
            except InternalError as error:
                self._announcer.report_exception("the reports of a worker cannot be read", error)
                self._fleet.give_up(worker, "its reports could not be read")
                return
            data = worker.read_reports() if to_end else None
        if data == b"":
            worker.stop_reading(worker.report)
            if not to_end:
                self._fleet.cut_off(worker)

    def _handle_unread(self, worker: WorkerProcess) -> None:
        """Handle the whole reports among what was read; raise `InternalError` for what is none."""
        reports = [_NO_REPORT]
        while reports and worker.unread:
            reports, worker.unread = frames.split_reports(worker.unread)
            self._handle_all(worker, reports)

    def _handle_all(self, worker: WorkerProcess, reports: list[frames.Report]) -> None:
        """Handle reports in their order; runs of plain results go the fast way."""
        run: list[frames.Report] = []
        for report in reports:
            if report[0] <= frames.NOTHING:
                run.append(report)
                continue
            if run:
                self._outcomes.results(worker, run)
                run = []
            try:
                self._handle(worker, *report)
            except Exception as error:  # noqa: BLE001 - one report must not cost the others
                self._announcer.report_exception("a report of a worker failed", error)
        if run:
            self._outcomes.results(worker, run)

    def _handle(
        self, worker: WorkerProcess, kind: int, attempt: int, cost: float, body: bytes
    ) -> None:
        if kind & frames.IN_PARCEL:
            kind &= ~frames.IN_PARCEL
            report = (kind, attempt, cost, b"")
            try:
                data, buffers = read_parcel(worker.receive_parcel(body))
            except (OSError, InternalError) as error:
                if not attempt:
                    raise
                self._outcomes.unreceived(worker, report, error)
                return
            if kind == frames.RESULT:
                self._outcomes.parcel(worker, report, data, buffers)
                return
            body = bytes(data)
        report = (kind, attempt, cost, body)
        if kind == frames.ERROR:
            self._outcomes.error(worker, report)
        elif kind == frames.SKIPPED:
            self._outcomes.skipped(worker, report)
        elif kind == frames.PRE_TASK_COST:
            self._outcomes.pre_task_cost(report)
        elif kind == frames.MESSAGE:
            self._on_message(worker, body)
        elif kind == frames.LOG:
            _log(pickle.loads(body))
        else:
            self._on_life_sign(worker, kind, pickle.loads(body))

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
            self._fleet.ready(worker, is_async=content)
            if content:
                self._on_async()
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
