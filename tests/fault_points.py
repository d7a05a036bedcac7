"""Named fault points: a worker is killed or stopped at an exact step of the protocol.

A fault point is a comment in a worker's source, ``# fault point: NAME``, above the line before which
the fault is to happen. See `tests/fault_site` for what makes it more than a comment.
"""

from __future__ import annotations

import mmap
import os
import re
import select
import struct
from pathlib import Path
from types import TracebackType
from typing import Self

import workpool
from tests.children import readable

KILL, STOP = b"k", b"s"
_PASS = b"p"

_MODULES = ("_worker", "_system")
_LONGEST_NAME = 128


def all_points() -> list[str]:
    """Return every fault point there is in the sources: ``"module: name"``."""
    root = Path(workpool.__file__).parent
    return [
        f"{path.stem}: {name}"
        for folder in _MODULES
        for path in sorted((root / folder).glob("*.py"))
        for name in re.findall(r"^ *# fault point: (.+)$", path.read_text(), re.MULTILINE)
    ]


class FaultPoints:
    """Arms one point at a time, for all workers of a pool that has the `environment`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.environment = {
            "PYTHONPATH": str(Path(__file__).parent / "fault_site"),
            "WORKPOOL_FAULT_POINTS": str(directory),
        }

    def __enter__(self) -> Self:
        armed = self._directory / "armed"
        armed.write_bytes(bytes(_LONGEST_NAME))
        with armed.open("r+b") as file:
            self._armed = mmap.mmap(file.fileno(), 0)
        self._orders, self._arrivals = map(self._fifo, ("orders", "arrivals"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._armed.close()
        os.close(self._orders)
        os.close(self._arrivals)

    def arm(self, point: str, order: bytes, *, time: int = 1) -> None:
        """Have the process that is the `time`-th to come to a point kill or stop itself there."""
        self.disarm()
        os.write(self._orders, _PASS * (time - 1) + order)
        self._armed[:] = point.encode().ljust(_LONGEST_NAME, b"\0")

    def disarm(self) -> None:
        """Let everybody pass everywhere."""
        self._armed[:] = bytes(_LONGEST_NAME)
        if self.pending:
            os.read(self._orders, 1 << 10)

    @property
    def pending(self) -> bool:
        """Whether the order is still to be carried out."""
        return bool(select.select([self._orders], [], [], 0)[0])

    async def fired(self) -> int:
        """Wait until the order has been carried out; return the id of the process that did."""
        await readable(self._arrivals)
        [pid] = struct.unpack("<q", os.read(self._arrivals, 8))
        return int(pid)

    def _fifo(self, name: str) -> int:
        path = self._directory / name
        os.mkfifo(path)
        return os.open(path, os.O_RDWR | os.O_NONBLOCK)
