"""Sends a worker's reports to the pool."""

from __future__ import annotations

import os
from _thread import allocate_lock, get_ident
from struct import Struct

from workpool._frames import IN_PARCEL, MOST_REPORT_BODY, ON_BELT, REPORT
from workpool._quick import socket
from workpool._system import mail
from workpool._system.belt import BELT_LIMIT, Belt
from workpool._system.liveness import ParentGone
from workpool._system.memory import laid_out, payload_bytes, write_parcel
from workpool._system.returned import returned
from workpool._worker.interrupts import Interruptible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


_pack = REPORT.pack
_NUMBER = Struct("<Q")
"""Of a parcel. So one that could not be announced is not taken for the next."""


class Reporter:
    """The report pipe. Any thread may send; a report is written whole or not at all.

    Waits while the pipe is full: a pool that does not read slows its workers down. Raises
    `ParentGone` when the pool is gone.
    """

    def __init__(self, descriptor: int, mailbox: socket.socket) -> None:
        self._descriptor = descriptor
        self._mailbox = mailbox
        self._lock = allocate_lock()
        self.written = 0
        """Bytes, by the thread that runs tasks; other threads may be counted late."""
        self._parcels = 0
        self.interruptible: Interruptible | None = None
        self.on_large: Callable[[Any], None] = lambda body: None
        """Told each body that is too large for the pipe."""
        self.belt: Belt | None = None

    def send(
        self, kind: int, attempt: int, body: Any = b"", cost: float = 0.0, buffers: Any = ()
    ) -> None:
        """Send one report; large bodies and out-of-band buffers go by the belt or as a parcel."""
        if buffers or len(body) > MOST_REPORT_BODY:
            self.on_large(body)
            if not self._send_on_belt(kind, attempt, body, cost, buffers):
                self._send_parcel(kind, attempt, body, cost, buffers)
            return
        try:
            self.written += os.write(self._descriptor, _pack(len(body), kind, attempt, cost) + body)
        except BrokenPipeError:
            raise ParentGone from None

    def give_belt_back(self) -> None:
        """Give the memory of the belt back if it is not in use."""
        if self.belt is not None and self._lock.acquire(blocking=False):
            try:
                self.belt.give_back()
            finally:
                self._lock.release()

    def _send_on_belt(self, kind: int, attempt: int, body: Any, cost: float, buffers: Any) -> bool:
        """Send a body by the belt; return False if it is too large or there is no room."""
        if self.belt is None or payload_bytes(body, buffers) > BELT_LIMIT:
            return False
        content = laid_out(body, buffers)
        with self._lock:  # notes go in the order in which bodies lie
            # fault point: before it is laid on the belt
            note = self.belt.lay(content)
            if note is None:
                return False
            # fault point: on the belt, not reported
            self.send(kind | ON_BELT, attempt, note, cost)
        # fault point: on the belt and reported
        return True

    def _send_parcel(self, kind: int, attempt: int, body: Any, cost: float, buffers: Any) -> None:
        # fault point: before the parcel is written
        as_it_came = returned(body, buffers) if buffers else None
        if as_it_came is None:
            parcel, details = write_parcel(body, buffers), b""
        else:
            parcel, details = os.dup(as_it_came[0]), as_it_came[1]
        interruptible = self.interruptible
        if interruptible is not None and interruptible.thread != get_ident():
            interruptible = None
        if interruptible is not None:
            interruptible.shielded = True
        try:
            with self._lock:  # descriptors and the reports that announce them go in one order
                self._parcels += 1
                number = _NUMBER.pack(self._parcels)
                # fault point: before the parcel is sent
                mail.send_waiting(self._mailbox, number + details, parcel)
                # fault point: parcel sent, not announced
                self.written += os.write(
                    self._descriptor, _pack(len(number), kind | IN_PARCEL, attempt, cost) + number
                )
        except BrokenPipeError:
            raise ParentGone from None
        finally:
            # fault point: parcel announced
            os.close(parcel)
            if interruptible is not None:
                interruptible.unshield()
