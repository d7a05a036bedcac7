"""Unpickling, in the pool, what workers made of classes that the pool may not have imported."""

from __future__ import annotations

import pickle
import sys
from typing import TYPE_CHECKING, Any

from workpool._worker.resolve import file_module_names, load_file

if TYPE_CHECKING:
    from workpool._target import Target


class Revival:
    """Unpickles results, errors and messages.

    An entrypoint given as a file is imported by the workers under a name that means nothing here. The
    file is loaded here as well, under that name, when a result turns out to need a class of it.
    """

    def __init__(self, target: Target) -> None:
        self._path = target.path
        self._names = file_module_names(target.path, target.module) if target.path else set()

    def loads(self, data: Any, buffers: Any = ()) -> Any:
        """Unpickle; raises whatever the classes concerned raise."""
        try:
            return pickle.loads(data, buffers=buffers)
        except ModuleNotFoundError as error:
            if not self._load_module(error.name):
                raise
        return pickle.loads(data, buffers=buffers)

    def _load_module(self, name: str | None) -> bool:
        wanted = [known for known in self._names if f"{known}.".startswith(f"{name}.")]
        if self._path is None or not wanted or wanted[0] in sys.modules:
            return False
        search_path = list(sys.path)
        try:
            load_file(self._path, wanted[0])
        finally:
            sys.path[:] = search_path
        return True
