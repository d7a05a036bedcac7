"""What workers print, taken to the parent's own output line by line."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workpool._worker_process import WorkerProcess

_LONGEST_LINE = 1 << 16
"""Bytes after which a line is passed on although it has not ended."""

_READ_BYTES = 1 << 16
"""What a pipe holds unless somebody has asked for more."""

LineHandler = Callable[[Any, str, str], object]


class OutputReader:
    """Reads one stream of one worker and hands its lines to the parent, live."""

    def __init__(
        self,
        worker: WorkerProcess,
        stream: str,
        descriptor: int,
        handler: LineHandler,
    ) -> None:
        self._worker = worker
        self._stream = stream
        self._descriptor = descriptor
        self._handler = handler
        self._rest = b""

    def read(self) -> bool:
        """Pass on what there is; return False when there is nothing more for now."""
        try:
            data = os.read(self._descriptor, _READ_BYTES)
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
        """Pass on the last that the worker has written, also an unfinished line.

        No more than a pipe holds: programs that its tasks have left may go on writing for ever.
        """
        for _ in range(1 + fcntl.fcntl(self._descriptor, fcntl.F_GETPIPE_SZ) // _READ_BYTES):
            if not self.read():
                break
        self._flush()

    def _flush(self) -> None:
        if self._rest:
            rest, self._rest = self._rest, b""
            self._pass_on(rest)

    def _pass_on(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").removesuffix("\r")
        self._worker.note_line(text)
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


def write_line(_worker: Any, stream: str, line: str) -> None:
    """Write a worker's line as it is to this process's own standard output or error."""
    data = f"{line}\n".encode()
    with contextlib.suppress(OSError):  # closed, or its reader is gone: then nobody misses it
        while data:
            data = data[os.write(2 if stream == "stderr" else 1, data) :]


def line_handler(worker_output: str | LineHandler) -> LineHandler:
    """Return where the lines of a worker go whose output goes through the pool."""
    if callable(worker_output):
        return worker_output
    return print_line if worker_output == "forward" else write_line
