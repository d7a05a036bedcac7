"""What workers print, taken to the parent's own output line by line."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workpool._worker_process import WorkerProcess

_LONGEST_LINE = 1 << 16
"""Bytes after which a line is passed on although it has not ended."""


class OutputReader:
    """Reads one stream of one worker and hands its lines to the parent, live."""

    def __init__(
        self,
        worker: WorkerProcess,
        stream: str,
        descriptor: int,
        destination: str | Callable[[Any, str, str], object],
    ) -> None:
        self._worker = worker
        self._stream = stream
        self._descriptor = descriptor
        self._handler = destination if callable(destination) else print_line
        self._rest = b""

    def read(self) -> bool:
        """Pass on what there is; return False when there is nothing more for now."""
        try:
            data = os.read(self._descriptor, 1 << 16)
        except BlockingIOError:
            return False
        if not data:
            self._worker.stop_reading(self._descriptor)  # or it would be "readable" for ever
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._pass_on(line)
        if len(self._rest) > _LONGEST_LINE:
            self._flush()
        return bool(data)

    def finish(self) -> None:
        """Pass on the last of it, also an unfinished line."""
        while self.read():
            pass
        self._flush()

    def _flush(self) -> None:
        if self._rest:
            rest, self._rest = self._rest, b""
            self._pass_on(rest)

    def _pass_on(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").removesuffix("\r")
        try:
            self._handler(self._worker.handle, self._stream, text)
        except Exception as error:  # noqa: BLE001 - the user's handler must not stop the pool
            import asyncio

            asyncio.get_running_loop().call_exception_handler(
                {"message": "workpool: worker_output raised", "exception": error}
            )


def print_line(worker: Any, stream: str, line: str) -> None:
    """Print a worker's line where the parent prints, with the worker in front."""
    target = sys.stderr if stream == "stderr" else sys.stdout
    if target is not None:
        with contextlib.suppress(ValueError):  # closed meanwhile
            print(f"[worker {worker.id}] {line}", file=target, flush=True)
