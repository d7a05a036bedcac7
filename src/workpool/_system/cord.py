"""What binds the pool to a worker that is not its child but its template's.

Three parties, one socket pair per worker. The worker itself says that it is born, with a pidfd of
its own: nobody else has to find it by a number that could be another's by then. The template, whose
child it is, says how it ended. Both ends of it that are not the pool's are closed with their
processes, so the pool hears the end of the cord when neither can say anything any more.
"""

from __future__ import annotations

import array
import os

from workpool._quick import socket
from workpool._system import mail

BORN, ENDED, NOT_MADE = b"b", b"e", b"n"
"""The first byte of what comes through a cord; a number follows: process id, return code, errno."""

_MOST_DESCRIPTORS = 6
_NUMBER_BYTES = array.array("i", [0]).itemsize


def tell_born(cord: socket.socket) -> None:
    """In a new worker: tell the pool who this is. Raises `OSError`."""
    descriptor = os.pidfd_open(os.getpid())
    try:
        mail.send_waiting(cord, BORN + packed(os.getpid()), descriptor)
    finally:
        os.close(descriptor)


def packed(number: int) -> bytes:
    """Return a number as it comes through a cord."""
    return number.to_bytes(8, "little", signed=True)


def unpacked(data: bytes) -> int:
    """Return the number that came through a cord."""
    return int.from_bytes(data, "little", signed=True)


def ask_for_worker(control: socket.socket, descriptors: list[int]) -> None:
    """Ask a template for a worker that has copies of these; the first is its cord. Never waits.

    Raises `OSError`, also when more are asked for than the template has yet got to.
    """
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
    control.sendmsg([bytes([len(descriptors)])], rights, socket.MSG_DONTWAIT)


def next_request(control: socket.socket) -> list[int] | None:
    """In a template: wait for the pool to ask for a worker; return its descriptors.

    -1 stands for each that was sent but found no room. None when nobody will ask any more.
    """
    size = socket.CMSG_SPACE(_MOST_DESCRIPTORS * _NUMBER_BYTES)
    data, ancillary, _, _ = control.recvmsg(1, size, socket.MSG_CMSG_CLOEXEC)
    if not data:
        return None
    numbers = array.array("i")
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            numbers.frombytes(payload[: len(payload) // _NUMBER_BYTES * _NUMBER_BYTES])
    return [*numbers, *[-1] * (data[0] - len(numbers))]
