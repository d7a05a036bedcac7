"""A view of the workers below what pytest has written: what each runs, for how long, what is left.

The cursor stays where pytest has left it. The view is drawn below that place, and erased before
pytest writes again, so nothing of it is left when the run is over.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import Any

from workpool.pytest_plugin._collection import nodeid_of

_MOST_WORKERS = 8
"""Those whose tests have run longest are shown."""

_ERASE_BELOW = "\x1b[J"
_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"


class LiveView:
    """The view."""

    def __init__(self, writer: Any, workers: int) -> None:
        self._writer = writer
        self._workers = workers
        self._canvas = writer._file = Canvas(writer._file)

    def show(self, running: Sequence[tuple[int, str, float]], tests: int, seconds: float) -> None:
        """Draw it anew. `seconds` is how long the tests that are left would take one worker."""
        columns, rows = shutil.get_terminal_size()
        most = max(1, min(_MOST_WORKERS, rows // 2))
        shown = sorted(sorted(running, key=lambda test: -test[2])[:most])
        lines = [_worker_line(*test) for test in shown]
        lines.append(_summary(tests, seconds / self._workers))
        self._canvas.draw(
            [line[: columns - 1] for line in lines], self._writer.width_of_current_line % columns
        )

    def close(self) -> None:
        """Erase it, and draw no more."""
        self._canvas.erase()
        self._writer._file = self._canvas.file


class Canvas:
    """A terminal's file that has the view erased before anything else is written."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self._is_drawn = False

    def write(self, text: str) -> Any:
        """Write what is to stay."""
        self.erase()
        return self.file.write(text)

    def draw(self, lines: Sequence[str], column: int) -> None:
        """Write lines below the cursor, which comes back to its column."""
        self.erase()
        below = "".join(f"\n{_DIM}{line}{_PLAIN}" for line in lines)
        right = f"\x1b[{column}C" if column else ""
        self.file.write(f"{below}\x1b[{len(lines)}A\r{right}")
        self.file.flush()
        self._is_drawn = True

    def erase(self) -> None:
        """Erase what was drawn."""
        if self._is_drawn:
            self._is_drawn = False
            self.file.write(_ERASE_BELOW)
            self.file.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def _worker_line(worker: int, name: str, seconds: float) -> str:
    return f"gw{worker} {_duration(seconds):>8}  {nodeid_of(name)}"


def _summary(tests: int, seconds: float) -> str:
    noun = "test" if tests == 1 else "tests"
    return f"{tests} {noun} left, about {_duration(max(1.0, seconds))} to go"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest:02} s"
