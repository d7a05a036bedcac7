"""Entrypoints: the forms a user may give, and the portable form every worker resolves.

Pure: names, paths and attributes are looked at, nothing is imported here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import update_wrapper
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar

from workpool._target import HOOKS, Target, hooks_of, is_file, parse_specification
from workpool.errors import EntrypointError

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Entrypoint:
    """An entrypoint by name: the module and the symbol that every worker looks up.

    `module_path` is a dotted module name or the path of a Python file; `symbol` may be dotted
    (``"Renderer.run"``). The hooks are optional, sync or async: `on_worker_start(client)` once per
    worker before its first task, `on_worker_exit(client)` once at a graceful end,
    `pre_task(arg, client)` before each task. Hooks that are attributes of the symbol are used where
    none is given here.
    """

    module_path: str
    symbol: str
    on_worker_start: Callable[..., Any] | None = field(default=None, kw_only=True)
    on_worker_exit: Callable[..., Any] | None = field(default=None, kw_only=True)
    pre_task: Callable[..., Any] | None = field(default=None, kw_only=True)


class EntrypointFunction(Generic[P, R]):
    """A function decorated with `entrypoint`: stays callable, and takes its hooks by decorators."""

    workpool_entrypoint = True
    """How a worker knows this class without importing it."""

    def __init__(self, function: Callable[P, R]) -> None:
        self.function = function
        self.hooks: dict[str, Callable[..., Any]] = {}
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def on_worker_start(self, hook: Callable[..., Any]) -> Callable[..., Any]:
        """Decorate the hook `(client)` that runs once per worker, before its first task."""
        return self._set("on_worker_start", hook)

    def on_worker_exit(self, hook: Callable[..., Any]) -> Callable[..., Any]:
        """Decorate the hook `(client)` that runs once when a worker ends gracefully."""
        return self._set("on_worker_exit", hook)

    def pre_task(self, hook: Callable[..., Any]) -> Callable[..., Any]:
        """Decorate the hook `(arg, client)` that runs before each task, its time apart."""
        return self._set("pre_task", hook)

    def _set(self, name: str, hook: Callable[..., Any]) -> Callable[..., Any]:
        if not callable(hook):
            raise TypeError(f"{name} must be callable, not {type(hook).__name__}")
        self.hooks[name] = hook
        return hook


def entrypoint(function: Callable[P, R]) -> EntrypointFunction[P, R]:
    """Decorate a worker's entrypoint, so that its hooks can be added by decorators.

    The result is called like the function itself.
    """
    return EntrypointFunction(function)


def find_target(given: object) -> Target:
    """Turn any form of entrypoint into its portable form.

    Raises `EntrypointError` for what cannot be an entrypoint in any process.
    """
    if isinstance(given, str):
        module_path, symbol = parse_specification(given)
        return _by_name(module_path, symbol, {})
    if isinstance(given, Entrypoint):
        if not isinstance(given.module_path, str) or not isinstance(given.symbol, str):
            raise EntrypointError("module_path and symbol of an Entrypoint must be text")
        hooks = {name: getattr(given, name) for name in HOOKS if getattr(given, name) is not None}
        return _by_name(given.module_path, given.symbol, hooks)
    if not callable(given):
        raise EntrypointError(
            f"the entrypoint must be a function, a string 'module:symbol' or an Entrypoint, "
            f"not {type(given).__name__}"
        )
    return _by_object(given)


def _by_name(module_path: str, symbol: str, hooks: dict[str, Any]) -> Target:
    if not is_file(module_path):
        if not all(map(str.isidentifier, module_path.split("."))):
            raise EntrypointError(
                f"{module_path!r} is neither a module's dotted name nor the path of a .py file",
                module=module_path,
                symbol=symbol,
            )
        if module_path == "__main__":
            return Target(symbol, value=_symbol_of_main(symbol), hooks=hooks)
        return Target(symbol, module=module_path, hooks=hooks)
    path = str(Path(module_path).resolve())
    if _is_file_of(sys.modules.get("__main__"), path):
        # The running script must not be run again in every worker: what it defines goes by value.
        try:
            return Target(symbol, value=_symbol_of_main(symbol), hooks=hooks)
        except EntrypointError:
            pass
    return Target(symbol, module=_loaded_name(path), path=path, hooks=hooks)


def _by_object(given: Any) -> Target:
    module_path = getattr(given, "module_path", None)
    symbol = getattr(given, "module_symbol", None)
    hooks = hooks_of(given)
    if isinstance(module_path, str) and isinstance(symbol, str):
        return _by_name(module_path, symbol, hooks)
    module = getattr(given, "__module__", None)
    qualified = getattr(given, "__qualname__", None)
    if isinstance(module, str) and isinstance(qualified, str) and module != "__main__":
        found = _lookup(sys.modules.get(module), qualified)
        if found is given:
            return Target(qualified, module=module, hooks=hooks)
    return Target(str(qualified or type(given).__qualname__), value=given, hooks=hooks)


def _symbol_of_main(symbol: str) -> Any:
    thing = _lookup(sys.modules.get("__main__"), symbol)
    if thing is None:
        raise EntrypointError(
            f"__main__ has no symbol {symbol!r} (yet)", module="__main__", symbol=symbol
        )
    return thing


def _lookup(module: Any, dotted: str) -> Any:
    thing = module
    for name in dotted.split("."):
        thing = getattr(thing, name, None)
    return thing


def _is_file_of(module: Any, path: str) -> bool:
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and str(Path(file).resolve()) == path


def _loaded_name(path: str) -> str | None:
    for name, module in list(sys.modules.items()):
        if name != "__main__" and _is_file_of(module, path):
            return name
    return None
