"""What the workers of an executor run: any function with any arguments.

Every such worker imports this, so it imports next to nothing.
"""

from __future__ import annotations

import sys
from types import FunctionType, ModuleType

from workpool._quick import pickle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from typing import Any

MOST_KEPT = 256
"""Functions of `__main__` a worker keeps; one that comes again after so many others is unpickled again."""

_kept: dict[int, Callable[..., Any]] = {}
_main: dict[str, Any] = {"__name__": "__main__"}
_received: dict[str, Any] = {}

_RENEWED = (FunctionType, type, ModuleType, int, float, complex, str, bytes, type(None))
"""Types of which a later value takes an earlier one's place, as long as the worker's own code has not
assigned to that name. Others may have been filled meanwhile (a cache, a dictionary of settings): of these
the first stays."""


def call(work: tuple[Any, ...]) -> Any:
    """Run one call: (function, arguments) or (function, arguments, keyword arguments)."""
    if len(work) == 2:
        function, arguments = work
        return function(*arguments)
    function, arguments, keywords = work
    return function(*arguments, **keywords)


def call_each(function: Callable[..., Any], chunk: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Run one call after the other; return the list of what they return."""
    return [function(*arguments) for arguments in chunk]


class Start:
    """An executor's start hook: the user's initializer, in a process that multiprocessing knows."""

    keeps_client = False

    def __init__(
        self,
        initializer: Callable[..., object] | None,
        arguments: tuple[Any, ...],
        authkey: bytes,
    ) -> None:
        self.initializer = initializer
        self.arguments = arguments
        self.authkey = authkey

    def __call__(self, client: object) -> None:
        """Let this worker use the parent's managers, then call the initializer."""
        if "multiprocessing.process" in sys.modules:
            _set_authkey(self.authkey)
        else:
            sys.meta_path.insert(0, _AuthkeySetter(self.authkey))
        if self.initializer is not None:
            self.initializer(*self.arguments)


class _AuthkeySetter:
    """Finds nothing itself; acts when the module in which the key is kept has been imported.

    Without the parent's key a proxy of one of its managers (`Manager().dict()`) is refused. Most
    workers never see one, and the import takes 20 ms.
    """

    def __init__(self, authkey: bytes) -> None:
        self._authkey = authkey

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "multiprocessing.process":
            return None
        sys.meta_path.remove(self)
        from importlib.util import find_spec

        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                _set_authkey(self._authkey)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _set_authkey(key: bytes) -> None:
    sys.modules["multiprocessing.process"].current_process().authkey = key


# Functions of `__main__`


def function_of_main(number: int, packed: bytes) -> Callable[..., Any]:
    """Return the function that was sent under a number, unpickled when it comes first."""
    function = _kept.get(number)
    if function is None:
        from zlib import decompress

        function = pickle.loads(decompress(packed))
        if len(_kept) >= MOST_KEPT:
            del _kept[next(iter(_kept))]
        _kept[number] = function
    return function


def names_of_main() -> dict[str, Any]:
    """Return the global names of all functions of `__main__`.

    One dictionary for all of them: what an initializer assigns, the other functions see.
    """
    return _main


def receive_names(names: dict[str, Any]) -> None:
    """Enter the global names a function refers to, with the values they had in the parent."""
    for name, value in names.items():
        if name not in _main or (
            _main[name] is _received.get(name) and isinstance(_main[name], _RENEWED)
        ):
            _main[name] = _received[name] = value


def complete_function(function: FunctionType, state: tuple[dict[str, Any], Any]) -> None:
    """Complete an unpickled function of `__main__`; cloudpickle does all but the names."""
    from cloudpickle.cloudpickle import _function_setstate

    names, rest = state
    receive_names(names)
    _function_setstate(function, rest)
