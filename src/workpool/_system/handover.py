"""Descriptors for a process that was forked before they were there: it gets each under its owner's number.

A program that is started inherits them. One that runs already is sent copies, and puts those where
the configuration of every worker says that they are.
"""

from __future__ import annotations

import array
import fcntl
import os
from collections.abc import Sequence

from workpool._quick import socket

_MOST = 200
"""Descriptors in one datagram: the kernel takes 253."""

_MORE, _LAST = b"m", b"l"
_NUMBER_BYTES = array.array("i", [0]).itemsize


def hand_over(control: socket.socket, descriptors: Sequence[int]) -> None:
    """Send copies of descriptors, with their numbers. Never waits. Raises `OSError`."""
    for start in range(0, max(len(descriptors), 1), _MOST):
        numbers = array.array("i", descriptors[start : start + _MOST])
        mark = _LAST if start + _MOST >= len(descriptors) else _MORE
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers)] if numbers else []
        control.sendmsg([mark, numbers.tobytes()], rights, socket.MSG_DONTWAIT)


def take_over(control: socket.socket, private: list[int]) -> list[int] | None:
    """Wait for descriptors; put them where they belong. None if nobody will send any more.

    `private` are descriptors of this process that may be in the way: returns them where they are
    now. Raises `OSError`.
    """
    wanted: list[int] = []
    copies: list[int] = []
    mark = _MORE
    while mark == _MORE:
        mark, numbers, received = _receive(control)
        if not mark:
            return None
        wanted += numbers
        copies += received
    if len(wanted) != len(copies):
        raise OSError("not all descriptors that were sent could be received")
    beyond = max([*wanted, *private], default=2) + 1
    moved = [_moved(descriptor, beyond) for descriptor in private]
    copies = [_moved(descriptor, beyond) for descriptor in copies]
    for number, copy in zip(wanted, copies, strict=True):
        os.dup2(copy, number, inheritable=False)
        os.close(copy)
    return moved


def _receive(control: socket.socket) -> tuple[bytes, array.array[int], array.array[int]]:
    bytes_of_all = _MOST * _NUMBER_BYTES
    data, ancillary, _, _ = control.recvmsg(
        1 + bytes_of_all, socket.CMSG_SPACE(bytes_of_all), socket.MSG_CMSG_CLOEXEC
    )
    numbers, received = array.array("i"), array.array("i")
    numbers.frombytes(data[1:])
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            received.frombytes(payload[: len(payload) // _NUMBER_BYTES * _NUMBER_BYTES])
    return data[:1], numbers, received


def _moved(descriptor: int, beyond: int) -> int:
    """Move a descriptor to a number that nothing else is meant for."""
    copy = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, beyond)
    os.close(descriptor)
    return copy
