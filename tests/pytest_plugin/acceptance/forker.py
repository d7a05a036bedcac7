"""A process that has imported pytest, and forks for each run: two thirds of a short run are that import.

Everything else about a run is as with ``python -m pytest``: its own process, directory, environment, output.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from typing import Any, NamedTuple

_LONGEST = 1 << 20  # of a request: the environment is the most of it


_NEEDED = ("asyncio", "multiprocessing", "pdb", "doctest", "unittest")
"""What a run imports of the standard library beside what pytest does."""


class Ended(NamedTuple):
    """How a run ended."""

    status: int
    output: list[str]
    errors: list[str]


class Forker:
    """Runs pytest in forks of a process that is kept."""

    def __init__(self) -> None:
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LONGEST)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )

    def run(self, arguments: list[str], folder: str, seconds: float) -> Ended:
        """Run ``python -m pytest`` with these arguments; raise `TimeoutError` if it takes too long."""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([folder, *sys.path])}
        request = json.dumps([arguments, folder, environment]).encode("utf-8", "surrogateescape")
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            socket.send_fds(self._line, [request], [output.fileno(), errors.fileno()])
            pid = int(self._line.recv(100))
            self._line.settimeout(seconds)
            try:
                status = int(self._line.recv(100))
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                self._line.settimeout(None)
                self._line.recv(100)
                raise
            finally:
                self._line.settimeout(None)
            return Ended(status, *(_lines(file) for file in (output, errors)))

    def close(self) -> None:
        """End the process."""
        self._line.close()
        self._process.wait()


def _lines(file: Any) -> list[str]:
    file.seek(0)
    return file.read().decode("utf-8", "replace").splitlines()  # type: ignore[no-any-return]


def _serve(line: socket.socket) -> list[Any]:
    """Fork for each request, in the parent for ever; return the request in the child."""
    while True:
        request, descriptors, _, _ = socket.recv_fds(line, _LONGEST, 2)
        if not request:
            os._exit(0)
        pid = os.fork()
        if not pid:
            for number, descriptor in enumerate(descriptors, start=1):
                os.dup2(descriptor, number)
                os.close(descriptor)
            line.close()
            return json.loads(request.decode("utf-8", "surrogateescape"))  # type: ignore[no-any-return]
        for descriptor in descriptors:
            os.close(descriptor)
        line.send(str(pid).encode())
        _, status = os.waitpid(pid, 0)
        line.send(str(os.waitstatus_to_exitcode(status)).encode())


def _main(line: socket.socket) -> None:
    from _pytest.config import default_plugins

    for name in [*(f"_pytest.{name}" for name in default_plugins), *_NEEDED]:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    arguments, folder, environment = _serve(line)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:] = [folder, *dict.fromkeys(environment["PYTHONPATH"].split(os.pathsep))]
    sys.argv = ["pytest", *arguments]
    runpy.run_module("pytest", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main(socket.socket(fileno=int(sys.argv[1])))
