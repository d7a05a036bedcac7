"""System calls of the pool that fail on demand, as if something had run out."""

from __future__ import annotations

import _socket
import errno
import fcntl
import mmap
import os
import selectors
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NamedTuple, Self
from unittest.mock import patch

from workpool._system import mail

ERRORS = {
    "epoll_ctl": errno.ENOSPC,
    "fork_exec": errno.EAGAIN,
    "fstat": errno.ENOMEM,
    "ftruncate": errno.ENOSPC,
    "ioctl": errno.ENOMEM,
    "memfd_create": errno.ENFILE,
    "mmap": errno.ENOMEM,
    "open": errno.EMFILE,
    "pidfd_open": errno.EMFILE,
    "pipe": errno.EMFILE,
    "pwrite": errno.ENOSPC,
    "read": errno.ENOMEM,
    "recv": errno.ENOBUFS,
    "recvmsg": errno.ENOMEM,
    "send": errno.ENOBUFS,
    "sendmsg": errno.ETOOMANYREFS,
    "set_blocking": errno.ENOMEM,
    "setsockopt": errno.ENOMEM,
    "socketpair": errno.EMFILE,
    "write": errno.ENOMEM,
}
"""The calls, each with an error it may come to when something has run out."""

_FUNCTIONS: dict[str, tuple[Any, str]] = {
    "epoll_ctl": (selectors.EpollSelector, "register"),
    "fork_exec": (subprocess, "_fork_exec"),
    "ioctl": (fcntl, "ioctl"),
    "mmap": (mmap, "mmap"),
    **{
        name: (os, name)
        for name in (
            "fstat",
            "ftruncate",
            "memfd_create",
            "open",
            "pidfd_open",
            "pipe",
            "pwrite",
            "read",
            "set_blocking",
            "write",
        )
    },
}


class Call(NamedTuple):
    """A system call, and the place in the pool's sources that makes it."""

    name: str
    place: str


class FailingCalls:
    """While entered, a certain call fails the `time`-th time it is made; all are counted."""

    def __init__(self, call: Call | None = None, time: int = 0) -> None:
        self.made: Counter[Call] = Counter()
        self._call = call
        self._time = time
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        for name, (owner, attribute) in _FUNCTIONS.items():
            self._undo.enter_context(
                patch.object(owner, attribute, self._wrapped(name, getattr(owner, attribute)))
            )
        self._undo.enter_context(patch.object(mail, "socket", self._sockets()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._undo.close()

    def _count(self, name: str) -> None:
        place = _place(name, sys._getframe(2))
        if place is None:
            return
        call = Call(name, place)
        self.made[call] += 1
        if call == self._call and self.made[call] == self._time:
            raise OSError(ERRORS[name], os.strerror(ERRORS[name]))

    def _wrapped(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self._count(name)
            return function(*args, **kwargs)

        return call

    def _sockets(self) -> Any:
        """Return a stand-in for the module of sockets, whose sockets count their calls."""
        count = self._count

        class Socket(_socket.socket):
            def send(self, *args: Any) -> int:
                count("send")
                return super().send(*args)

            def sendmsg(self, *args: Any) -> int:
                count("sendmsg")
                return super().sendmsg(*args)

            def recv(self, *args: Any) -> bytes:
                count("recv")
                return super().recv(*args)

            def recvmsg(self, *args: Any) -> Any:
                count("recvmsg")
                return super().recvmsg(*args)

            def setsockopt(self, *args: Any) -> None:
                count("setsockopt")
                super().setsockopt(*args)

        class Sockets:
            def __getattr__(self, name: str) -> Any:
                return getattr(_socket, name)

            @staticmethod
            def socketpair(*args: Any) -> tuple[Socket, Socket]:
                count("socketpair")
                first, second = _socket.socketpair(*args)
                return Socket(fileno=first.detach()), Socket(fileno=second.detach())

        return Sockets()


def _place(name: str, frame: FrameType | None) -> str | None:
    """Return where the pool makes a call, itself or through a module of the library; None if it does not.

    Not what `subprocess` reads of a child that is starting: that cannot fail for want of anything.
    """
    for _ in range(1 if name == "read" else 7):
        if frame is None:
            return None
        if str(frame.f_globals.get("__name__", "")).startswith("workpool."):
            return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        frame = frame.f_back
    return None
