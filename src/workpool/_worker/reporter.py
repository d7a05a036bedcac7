"""Sends a worker's reports to the pool."""

from __future__ import annotations

import os
from _thread import allocate_lock, get_ident

from workpool._frames import IN_PARCEL, REPORT
from workpool._quick import socket
from workpool._system import mail
from workpool._system.liveness import ParentGone
from workpool._system.memory import write_parcel
from workpool._worker.interrupts import Interruptible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Reporter:
    """The report pipe. Any thread may send; a report is written whole or not at all.

    Waits while the pipe is full: a pool that does not read slows its workers down. Raises
    `ParentGone` when the pool is gone.
    """

    def __init__(self, descriptor: int, mailbox: socket.socket) -> None:
        self._descriptor = descriptor
        self._mailbox = mailbox
        self._lock = allocate_lock()
        self.interruptible: Interruptible | None = None

    def send(
        self, kind: int, attempt: int, body: Any = b"", cost: float = 0.0, buffers: Any = ()
    ) -> None:
        """Send one report; large bodies and out-of-band buffers go as a parcel."""
        parcel = None
        if buffers or len(body) > mail.INLINE_BYTES:
            parcel = write_parcel(body, buffers)
            kind, body = kind | IN_PARCEL, b""
        data = REPORT.pack(len(body), kind, attempt, cost) + body
        interruptible = self.interruptible
        if interruptible is not None:
            if interruptible.thread == get_ident():
                interruptible.shielded = True
            else:
                interruptible = None
        try:
            with self._lock:
                if parcel is not None:
                    mail.send_waiting(self._mailbox, b"p", parcel)
                written = os.write(self._descriptor, data)
                while written < len(data):
                    written += os.write(self._descriptor, data[written:])
        except BrokenPipeError:
            raise ParentGone from None
        finally:
            if parcel is not None:
                os.close(parcel)
            if interruptible is not None:
                interruptible.unshield()
