"""What a worker had printed when it died.

pytest captures into a file that has no name and dies with the worker. The controller opens it too,
through /proc, as soon as the worker tells its descriptor; and it keeps the last lines that came past the
capture, such as the interpreter's own about a fatal error.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence

_MOST_LINES = 60  # as many as a fatal error's traceback may have
_MOST_BYTES = 8192

Sections = list[tuple[str, str]]


class LastWords:
    """Of all workers."""

    def __init__(self) -> None:
        self._files: dict[int, list[int]] = {}
        self._lines: dict[int, deque[str]] = {}

    def listen(self, worker: int, pid: int, descriptors: Sequence[int]) -> None:
        """Open what a worker captures standard output and error with."""
        self.forget(worker)
        opened = self._files[worker] = []
        for descriptor in descriptors:
            try:
                opened.append(os.open(f"/proc/{pid}/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC))
            except OSError:
                return  # it is gone already, or captures in another way

    def note_line(self, worker: int, line: str) -> None:
        """Remember a line that was not captured."""
        self._lines.setdefault(worker, deque(maxlen=_MOST_LINES)).append(line)

    def of(self, worker: int) -> Sections:
        """Return what is left of a worker, as the sections of a report."""
        sections = []
        for stream, file in zip(("stdout", "stderr"), self._files.get(worker, ()), strict=False):
            text = _tail(file)
            if text:
                sections.append((f"Captured {stream} when the worker died", text))
        lines = self._lines.pop(worker, None)
        if lines:
            sections.append(("Last output of the worker", "\n".join(lines)))
        return sections

    def forget(self, worker: int) -> None:
        """Let go of a worker."""
        for file in self._files.pop(worker, ()):
            os.close(file)

    def close(self) -> None:
        """Let go of all."""
        for worker in list(self._files):
            self.forget(worker)


def _tail(file: int) -> str:
    size = os.fstat(file).st_size
    start = max(0, size - _MOST_BYTES)
    text = os.pread(file, _MOST_BYTES, start).decode("utf-8", "replace")
    return f"[...]{text}" if start else text
