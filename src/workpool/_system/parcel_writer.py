"""Writing large parcels fast: into memory that has been used for one before.

Most of the time that a new parcel of many megabytes takes goes into its pages: the kernel has to
find and zero each of them. So a few files are kept when they have been sent. One is written to
again when nobody else has it any more: neither open, nor mapped, nor on its way in a socket.

Whether that is so, nobody has to tell, and so nobody can forget to, or die before: the kernel knows
it. What is sent is not the kept descriptor, but the same file *opened again*, and the kernel grants a
write lease on a file only if nobody else has it open for writing. A mapping counts as open, whoever
made it, so does a descriptor in a socket, and a child process that inherited either.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import signal

from workpool._system.memory import Layout
from workpool._system.shortage import explained

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

WORTH_KEEPING = 1 << 20
"""Bytes. Below, a new file costs less than 0.5 ms."""

MOST_KEPT_BYTES = 1 << 28
"""In all kept files together. A larger parcel is written to a new file each time."""

MOST_KEPT = 8
"""Files, each of which takes a descriptor or, when it was used twice, two."""

IDLE_SECONDS = 1.0
"""After so long without a large parcel, all kept memory is given back."""

_POPULATE_WRITE = 23  # MADV_POPULATE_WRITE, since Linux 5.14
_AT_A_TIME = 1 << 23
"""Bytes that are copied before another thread may have the GIL."""


class _Kept:
    """A file of which every page has been written to."""

    def __init__(self, descriptor: int, size: int) -> None:
        # Opened anew: what memfd_create returns does not count as open for writing.
        self.descriptor = _open_again(descriptor)
        self.size = size
        self._mapping: mmap.mmap | None = None
        try:
            # Should somebody open it in the microsecond of the lease, this process is sent a signal:
            # one that does nothing, instead of SIGIO, which would end it.
            fcntl.fcntl(self.descriptor, fcntl.F_SETSIG, signal.SIGURG)
        except OSError:
            os.close(self.descriptor)
            raise

    @property
    def is_free(self) -> bool:
        """Whether nobody else has this file; False if the kernel cannot tell."""
        try:
            fcntl.fcntl(self.descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except OSError:
            return False
        fcntl.fcntl(self.descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return True

    def write(self, layout: Layout) -> None:
        """Copy a parcel into pages that are there already."""
        if self._mapping is None:
            self._map()
        mapping = self._mapping
        if mapping is None:
            layout.write(self.descriptor)
            return
        for offset, piece in layout.pieces:
            for start in range(0, piece.nbytes, _AT_A_TIME):
                part = piece[start : start + _AT_A_TIME]
                mapping[offset + start : offset + start + part.nbytes] = part

    def _map(self) -> None:
        """Map it, if the kernel can do that without leaving each page to a fault of its own."""
        try:
            mapping = mmap.mmap(self.descriptor, self.size)
            mapping.madvise(_POPULATE_WRITE)
        except (OSError, ValueError):
            return
        self._mapping = mapping

    def try_out(self) -> int:
        """Return a descriptor to send. Raises `OSError` if the kernel cannot tell that it is there."""
        if not self.is_free:
            raise OSError("the kernel grants no lease on a file that nobody else has")
        descriptor = _open_again(self.descriptor)
        if self.is_free:
            os.close(descriptor)
            raise OSError("the kernel grants a lease on a file that somebody else has")
        return descriptor

    def close(self) -> None:
        """Let go of it; whoever else has it keeps it."""
        if self._mapping is not None:
            self._mapping.close()
        os.close(self.descriptor)


class ParcelWriter:
    """Writes the parcels of one pool. Not for use by several threads."""

    def __init__(self, on_idle: Callable[[], None] = lambda: None) -> None:
        self.call_later: Callable[[float, Callable[[], None]], object] | None = None
        """The event loop's; without it nothing is kept."""
        self._on_idle = on_idle
        self._kept: list[_Kept] = []  # what was used last comes last
        self._used = False
        self._watched = False

    def write(self, data: Any, buffers: Sequence[Any]) -> int:
        """Write a pickle and its buffers; return a descriptor to send and close.

        Raises `OSError`, which says what there was none of.
        """
        layout = Layout(data, buffers)
        try:
            return self._written(layout)
        except OSError as error:
            what = f"a large argument of {layout.size:,} bytes could not be sent"
            raise explained(error, what) from error

    def _written(self, layout: Layout) -> int:
        if self.call_later is None or not WORTH_KEEPING <= layout.size <= MOST_KEPT_BYTES:
            return layout.write_to_new_file()
        self.memory_is_used()
        kept = self._free_one(layout.size)
        if kept is None:
            return self._keep(layout.write_to_new_file(), layout.size)
        kept.write(layout)
        return _open_again(kept.descriptor)

    @property
    def kept_bytes(self) -> int:
        """How much is kept: memory for the next parcels, or still in somebody's hands."""
        return sum(kept.size for kept in self._kept)

    def close(self) -> None:
        """Give all kept memory back."""
        while self._kept:
            self._kept.pop().close()

    def _free_one(self, size: int) -> _Kept | None:
        """Return the smallest kept file that holds so much and is in nobody's hands."""
        for kept in sorted(self._kept, key=lambda kept: kept.size):
            if kept.size >= size and kept.is_free:
                self._kept.remove(kept)
                self._kept.append(kept)
                return kept
        return None

    def _keep(self, descriptor: int, size: int) -> int:
        """Keep a new file; return a descriptor of it to send. Takes over the one that is given."""
        while self._kept and (
            self.kept_bytes + size > MOST_KEPT_BYTES or len(self._kept) == MOST_KEPT
        ):
            self._kept.pop(0).close()
        try:
            kept = _Kept(descriptor, size)
        except OSError:  # no descriptor left, or no /proc: this one is sent, and not kept
            return descriptor
        try:
            sent = kept.try_out()
        except OSError:
            kept.close()
            return descriptor
        self._kept.append(kept)
        os.close(descriptor)
        return sent

    def memory_is_used(self) -> None:
        """Have what is kept given back when it has not been used for a while, and `on_idle` called."""
        self._used = True
        if not self._watched and self.call_later is not None:
            self._watched = True
            self.call_later(IDLE_SECONDS, self._look)

    def _look(self) -> None:
        self._watched = False
        if self._used:
            self.memory_is_used()
            self._used = False
        else:
            self.close()
            self._on_idle()


def _open_again(descriptor: int) -> int:
    return os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR | os.O_CLOEXEC)
