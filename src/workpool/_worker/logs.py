"""Records of `logging` in a worker, sent to the parent's handlers.

A worker does not import `logging` for this (8 ms of its start): it waits until somebody does.
"""

from __future__ import annotations

import sys
from types import ModuleType

from workpool import _frames as frames
from workpool._quick import pickle
from workpool._system.liveness import ParentGone

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from typing import Any, Protocol

    class ReportSender(Protocol):
        """A `Reporter`, as far as log records need one."""

        def send(self, kind: int, attempt: int, body: Any) -> None: ...


def watch_logging(reporter: ReportSender, levels: Mapping[str, int]) -> None:
    """Forward records from the moment on that `logging` is imported."""
    if "logging" in sys.modules:
        _install(sys.modules["logging"], reporter, levels)
    else:
        sys.meta_path.insert(0, _Finder(reporter, levels))


class _Finder:
    """Finds nothing itself; acts when `logging` has been imported."""

    def __init__(self, reporter: ReportSender, levels: Mapping[str, int]) -> None:
        self._reporter = reporter
        self._levels = levels

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "logging":
            return None
        sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not None:
                    loader: Any = _Loader(spec.loader, self._reporter, self._levels)
                    spec.loader = loader
                return spec
        return None


class _Loader:
    """Loads a module as its own loader does, and installs the forwarding afterwards."""

    def __init__(self, loader: Any, reporter: ReportSender, levels: Mapping[str, int]) -> None:
        self._loader = loader
        self._reporter = reporter
        self._levels = levels

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        _install(module, self._reporter, self._levels)


def _install(logging: Any, reporter: ReportSender, levels: Mapping[str, int]) -> None:
    class Forwarder(logging.Handler):  # type: ignore[misc]
        """Sends each record to the pool."""

        def emit(self, record: logging.LogRecord) -> None:
            try:
                body = pickle.dumps(portable(record), 5)
            except Exception:  # noqa: BLE001 - told of as every logging handler does
                self.handleError(record)
                return
            try:  # noqa: SIM105 - contextlib is not imported in every worker
                reporter.send(frames.LOG, 0, body)
            except ParentGone:
                pass  # without a pool there is nobody to tell

    def portable(record: logging.LogRecord) -> dict[str, Any]:
        """Return a record's attributes with what cannot travel turned into text."""
        attributes = dict(record.__dict__)
        attributes["msg"] = record.getMessage()
        attributes["args"] = None
        if record.exc_info:
            attributes["exc_text"] = record.exc_text or formatter.formatException(record.exc_info)
        attributes["exc_info"] = None
        return {name: _plain(value) for name, value in attributes.items()}

    formatter = logging.Formatter()
    logging.root.addHandler(Forwarder())
    set_levels(levels)


def set_levels(levels: Mapping[str, int]) -> None:
    """Give the loggers the levels they have in the parent, if this process has any loggers."""
    logging = sys.modules.get("logging")
    if logging is not None:
        for name, level in levels.items():
            logging.getLogger(name or None).setLevel(level)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return repr(value)
