"""Datagrams, with or without a descriptor: mail to one worker, and parcels.

Both are AF_UNIX/SOCK_SEQPACKET socket pairs. A datagram that does not fit is sent as a parcel: its bytes in an anonymous file.
"""

from __future__ import annotations

import array
import errno
import os

from workpool._quick import socket

INLINE_BYTES = 1 << 15
"""Bodies up to this size travel in the datagram; the default socket buffer holds several."""

_DESCRIPTOR_BYTES = array.array("i", [0]).itemsize

_MOST_BYTES = INLINE_BYTES + 64
_ANCILLARY_BYTES = socket.CMSG_SPACE(_DESCRIPTOR_BYTES)


def mail_pair() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a new pair; neither is inherited by programs. Raises `OSError`."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class DescriptorLost(OSError):
    """A datagram came without the descriptor it was sent with; `data` is what came."""

    data = b""


def send(sock: socket.socket, data: bytes, descriptor: int | None = None) -> None:
    """Send one datagram without waiting. Raises `BlockingIOError` when there is no room."""
    if descriptor is None:
        sock.send(data, socket.MSG_DONTWAIT)
        return
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
    sock.sendmsg([data], rights, socket.MSG_DONTWAIT)


def send_waiting(sock: socket.socket, data: bytes, descriptor: int) -> None:
    """Send one datagram with a descriptor, waiting for room."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
    sock.sendmsg([data], rights)


def receive(sock: socket.socket, *, wait: bool = False) -> tuple[bytes, int | None]:
    """Receive one datagram and the descriptor on it, if any; ``b""`` is the end.

    Raises `BlockingIOError` when there is none and `wait` is false, `DescriptorLost` when the datagram
    came and its descriptor did not, `OSError` when nothing could be received and all is still there.
    """
    flags = socket.MSG_CMSG_CLOEXEC | (0 if wait else socket.MSG_DONTWAIT)
    try:
        data, ancillary, said, _ = sock.recvmsg(_MOST_BYTES, _ANCILLARY_BYTES, flags)
    except ConnectionResetError:
        # The peer has ended with mail of ours unread: said once, before what it had sent.
        data, ancillary, said, _ = sock.recvmsg(_MOST_BYTES, _ANCILLARY_BYTES, flags)
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            numbers = array.array("i")
            numbers.frombytes(payload[:_DESCRIPTOR_BYTES])
            return data, numbers[0]
    if said & socket.MSG_CTRUNC:
        lost = DescriptorLost(
            errno.EMFILE,
            "a large payload could not be received, because this process has too many files open "
            "(see 'ulimit -n')",
        )
        lost.data = data
        raise lost
    return data, None


class Locker:
    """A place for one parcel that any worker can fetch: the way of large payloads.

    The task's token names the locker, so the one worker that took the token finds the parcel
    there, and nobody else looks.
    """

    def __init__(self) -> None:
        self.inner, self.outer = mail_pair()

    def put(self, descriptor: int) -> None:
        """Send the parcel's descriptor into the empty locker. Closes it here. Raises `OSError`."""
        try:
            send(self.inner, b"p", descriptor)
        finally:
            os.close(descriptor)

    @property
    def empty(self) -> bool:
        """Whether the parcel has been fetched."""
        try:
            self.outer.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        return False

    def clear(self) -> None:
        """Throw away a parcel that nobody will fetch."""
        try:
            _, descriptor = receive(self.outer)
        except (BlockingIOError, DescriptorLost):
            return
        if descriptor is not None:
            os.close(descriptor)

    def close(self) -> None:
        """Close both ends, and with them a parcel inside."""
        self.inner.close()
        self.outer.close()
