"""How far the job may run ahead of its output, and which lines may be written. Pure.

Every input occupies the window from its admission until its line has been *written*, whatever it
waits for meanwhile: a worker, its own end, an earlier and slower input (the reorder window), or a
consumer that does not read. So one bound holds for all of these together, and an endless input
with a stuck first task, or with a stuck consumer, stops being read instead of filling the memory.
"""

from __future__ import annotations

__all__ = ["Window"]


class Window:
    """Count what is between the input and the output; put lines in order.

    `max_inputs` and `max_bytes` bound it together; one input is always let in, however large.
    """

    def __init__(self, *, ordered: bool, max_inputs: int, max_bytes: int) -> None:
        self._ordered = ordered
        self._max_inputs = max_inputs
        self._max_bytes = max_bytes
        self._admitted = 0
        self._next = 0  # ordered: the index whose line is written next
        self._running: dict[int, int] = {}  # index -> size of the input
        self._held: dict[int, bytes] = {}  # finished, and waiting for an earlier one
        self._writing = 0
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._running) + len(self._held) + self._writing

    @property
    def admitted(self) -> int:
        """How many inputs were ever let in."""
        return self._admitted

    def has_room(self) -> bool:
        """Whether the next input may be let in."""
        return len(self) < self._max_inputs and (self._bytes < self._max_bytes or not len(self))

    def is_half_empty(self) -> bool:
        """Whether a reader that had to wait should go on: early enough to keep the workers fed."""
        return 2 * len(self) <= self._max_inputs and 2 * self._bytes <= self._max_bytes

    def admit(self, size: int) -> int:
        """Let an input of `size` bytes in and return its index, counted from 0."""
        index = self._admitted
        self._admitted += 1
        self._running[index] = size
        self._bytes += size
        return index

    def finish(self, index: int, line: bytes) -> list[bytes]:
        """Take the line of an input; return the lines that may be written now, in order."""
        self._bytes += len(line) - self._running.pop(index)
        if not self._ordered:
            self._writing += 1
            return [line]
        self._held[index] = line
        ready = []
        while (next_line := self._held.pop(self._next, None)) is not None:
            ready.append(next_line)
            self._next += 1
        self._writing += len(ready)
        return ready

    def written(self, lines: int, size: int) -> None:
        """Note that so many lines, of `size` bytes together, have left the program."""
        self._writing -= lines
        self._bytes -= size

    def cut(self, index: int) -> None:
        """Forget the input `index` and all after it; their lines will not be written."""
        for late in [running for running in self._running if running >= index]:
            self._bytes -= self._running.pop(late)
        for late in [held for held in self._held if held >= index]:
            self._bytes -= len(self._held.pop(late))

    def gaps(self) -> list[int]:
        """Return the unfinished inputs that hold finished ones back, in order."""
        last = max(self._held, default=-1)
        return sorted(index for index in self._running if index < last)

    def drain(self) -> list[bytes]:
        """Return the lines that are still held back, in order, skipping what is unfinished."""
        ready = [self._held[index] for index in sorted(self._held)]
        self._held.clear()
        self._writing += len(ready)
        return ready
