"""Descriptors for a process that was forked before they were there.

A program that is started inherits them under the numbers that they have in its parent. One that runs already
is sent copies. Theirs are other numbers, because it may have files of its own open under those by now.
"""

from __future__ import annotations

import array
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


def take_over(control: socket.socket) -> dict[int, int] | None:
    """Wait for descriptors; return their numbers here, by those that they have where they come from.

    None if nobody will send any more. Raises `OSError`.
    """
    numbers_there: list[int] = []
    copies: list[int] = []
    mark = _MORE
    while mark == _MORE:
        mark, numbers, received = _receive(control)
        if not mark:
            return None
        numbers_there += numbers
        copies += received
    if len(numbers_there) != len(copies):
        raise OSError("not all descriptors that were sent could be received")
    return dict(zip(numbers_there, copies, strict=True))


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
