"""Makes the fault points real in the workers of a test whose `sys.path` begins with this directory.

An interpreter imports a module of this name before anything else. In the sources of workers each
comment ``# fault point: NAME`` is replaced, as they are compiled, by a call of `reach`: on its own
line, so that nothing else moves. Without this the comments are comments. What was compiled is kept in
the test's directory for the workers after the first.
"""

# pathlib would be the largest import of a worker:
# ruff: noqa: PTH123

from __future__ import annotations

import builtins
import mmap
import os
import signal
import struct
import sys
from importlib.machinery import PathFinder, SourceFileLoader

TYPE_CHECKING = False  # as `typing` has it
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import CodeType, ModuleType

_PACKAGES = ("workpool._worker.", "workpool._system.")


class _Loader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType | None:
        prefix, sys.pycache_prefix = sys.pycache_prefix, f"{_directory}/compiled"
        try:
            return super().get_code(fullname)
        finally:
            sys.pycache_prefix = prefix

    def get_data(self, path: str) -> bytes:
        data = super().get_data(path)
        if path != self.path:  # what was compiled
            return data
        import re

        module = self.name.rpartition(".")[2]
        call = rf"reach_fault_point('{module}: \1')"
        return re.sub(rb"# fault point: (.+)", call.encode(), data)


class _Finder:
    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name.startswith(_PACKAGES) else None
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(name, spec.origin)
        return spec


class _Reach:
    def __init__(self, directory: str) -> None:
        with open(f"{directory}/armed", "rb") as file:
            self._armed = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        self._orders = os.open(f"{directory}/orders", os.O_RDONLY | os.O_NONBLOCK)
        self._arrivals = os.open(f"{directory}/arrivals", os.O_WRONLY)

    def __call__(self, point: str) -> None:
        """Do what the test has ordered for this point; nothing if that is nothing."""
        if self._armed[:].rstrip(b"\0") != point.encode():
            return
        try:
            order = os.read(self._orders, 1)  # each is carried out by one process
        except BlockingIOError:
            return
        if order == b"p":
            return
        os.write(self._arrivals, struct.pack("<q", os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL if order == b"k" else signal.SIGSTOP)


if _directory := os.environ.get("WORKPOOL_FAULT_POINTS", ""):
    vars(builtins)["reach_fault_point"] = _Reach(_directory)
    sys.meta_path.insert(0, _Finder)
