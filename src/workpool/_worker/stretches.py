"""What a worker shows of the chunk it runs: how far it will come, and on its *tray* the results that are there.

The items of a stretch are run in C, with no look at anything in between. When one of them turns out slow those behind it
would have to wait. So the pool that revokes a chunk also sends the signal that interrupts tasks: its handler, which
runs in the midst of the item, takes the rest of the stretch away from the C code, and then says so. Where the
handler cannot run, because an item holds the GIL, it does so before the next item.
"""

from __future__ import annotations

from workpool._quick import pickle, signal
from workpool._serialization import FOREIGN_ERRORS, OUT_OF_BAND_BYTES, PLAIN_TYPES
from workpool._system.status_page import INTERRUPTION, KEPT, REVOKED, STRETCH, TRAY_BYTES
from workpool.errors import TaskCancelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType
    from typing import Any

    from workpool._worker.worker import Worker

_ATTEMPT_BITS = 32
_POSITION_BITS = 16
_POSITION_MASK = (1 << _POSITION_BITS) - 1
_LENGTH_BYTES = 4

_HARMLESS_TYPES = PLAIN_TYPES | {str, bytes}
"""Objects of exactly these types can be pickled in the midst of anything: no method of somebody's is called."""


def _tag(attempt: int) -> int:
    return (attempt & ((1 << _ATTEMPT_BITS) - 1)) << _ATTEMPT_BITS


def pack_stretch(attempt: int, first: int, end: int) -> int:
    """Return the word that says which items of a chunk are being run."""
    return _tag(attempt) | first << _POSITION_BITS | end


def unpack_stretch(word: int, attempt: int) -> tuple[int, int] | None:
    """Return the first item of a stretch and the end of it; None if it is of another attempt."""
    if not is_of(word, attempt):
        return None
    return word >> _POSITION_BITS & _POSITION_MASK, word & _POSITION_MASK


def pack_kept(attempt: int, used: int) -> int:
    """Return the word that says how many bytes of a chunk's results are on the tray."""
    return _tag(attempt) | used


def is_of(word: int, attempt: int) -> bool:
    """Whether such a word is of this attempt."""
    return word >> _ATTEMPT_BITS == _tag(attempt) >> _ATTEMPT_BITS


def copy_of_tray(word: int, attempt: int, tray: memoryview) -> bytes:
    """Return what is on a tray; nothing if that is of another attempt."""
    return bytes(tray[: word & ((1 << _ATTEMPT_BITS) - 1)]) if is_of(word, attempt) else b""


def kept_results(copy: bytes) -> list[Any]:
    """Return the results in the copy of a tray; none if they cannot be unpickled here."""
    values: list[Any] = []
    position = 0
    try:
        while position < len(copy):
            length = int.from_bytes(copy[position : position + _LENGTH_BYTES], "little")
            position += _LENGTH_BYTES + length
            values += pickle.loads(copy[position - length : position])
    except FOREIGN_ERRORS:
        return []
    return values


class Stretches:
    """The stretches of the chunk that a worker runs. Main thread only."""

    def __init__(self, worker: Worker) -> None:
        slot, page = worker.config.slot, worker.page
        self.end = 0
        """Where the stretch ends; the handler may bring it nearer while the stretch is run."""
        self._words = worker.words
        self._stretch_word = page.field(slot, STRETCH)
        self._revoked_word = page.field(slot, REVOKED)
        self._kept_word = page.field(slot, KEPT)
        self._tray = page.tray(slot)
        self._attempt = self._first = 0
        self._items: Iterator[Any] = iter(())
        self._open: list[tuple[list[Any], int]] = []
        """The list that the results are appended to, and where those of this stretch begin; empty when they
        have been, or will not be, put on the tray. Taken out with `pop`: so the handler or the loop has it."""
        self._keeps = False
        self._used = 0
        self._earlier_handler: Any = None

    def handle_revocations(self) -> None:
        """Have the signal that interrupts tasks cut a stretch, too, if it is about that."""
        self._earlier_handler = signal.getsignal(INTERRUPTION)
        signal.signal(INTERRUPTION, self._on_signal)

    def open_chunk(self, attempt: int) -> None:
        """Begin anew, with nothing on the tray."""
        self._words[self._kept_word] = pack_kept(attempt, 0)
        self._attempt, self._used, self._keeps = attempt, 0, True

    def close_chunk(self) -> None:
        """Let go of the last of it."""
        self._items = iter(())
        self._open.clear()

    def announce(self, first: int, end: int, items: Iterator[Any], values: list[Any]) -> bool:
        """Say how far the worker will come; return False if the chunk is revoked.

        `items` are those of the stretch, and `values` is what their results will be appended to. A signal that comes
        in here finds nothing to cut; but then the chunk has been revoked, which is looked at last.
        """
        self._first, self.end, self._items = first, end, items
        self._open[:] = [(values, len(values))]
        self._words[self._stretch_word] = pack_stretch(self._attempt, first, end)
        return bool(self._words[self._revoked_word] != self._attempt)

    def keep(self) -> None:
        """Put the results of the stretch on the tray, if that can be done; then those behind them can be, too."""
        if self._open:
            values, start = self._open.pop()
            self._keeps = self._keeps and self._put(values[start:])

    def keep_no_more(self) -> None:
        """Put nothing more on the tray: what comes next are not results."""
        self._open.clear()
        self._keeps = False

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._words[self._revoked_word] == self._attempt:
            self._cut()
        if callable(self._earlier_handler):
            self._earlier_handler(number, frame)

    def _cut(self) -> None:
        """End the stretch behind the item that runs, then say so; what has been run before is on the tray then."""
        left = len(list(self._items))
        self.end -= left
        self._words[self._stretch_word] = pack_stretch(self._attempt, self._first, self.end)
        if self._open:
            values, start = self._open.pop()
            done = values[start:]
            if self._keeps and all(value.__class__ in _HARMLESS_TYPES for value in done):
                self._put(done)

    def _put(self, values: list[Any]) -> bool:
        try:
            data = pickle.dumps(values, 5, buffer_callback=_if_small)
        except TaskCancelled:
            raise
        except FOREIGN_ERRORS:
            return False
        end = self._used + _LENGTH_BYTES + len(data)
        if end > TRAY_BYTES:
            return False
        self._tray[self._used : end] = len(data).to_bytes(_LENGTH_BYTES, "little") + data
        self._words[self._kept_word] = pack_kept(self._attempt, end)
        self._used = end
        return True


def _if_small(buffer: pickle.PickleBuffer) -> bool:
    """Have a buffer pickled in band; refuse what would fill the tray, before it is copied."""
    if buffer.raw().nbytes > OUT_OF_BAND_BYTES:
        raise BufferError
    return True
