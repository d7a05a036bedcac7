"""Finding the entrypoint in a worker: from names or values to things that can be called."""

from __future__ import annotations

import os
import sys
from types import FunctionType, MethodType, ModuleType

from workpool._quick import pickle
from workpool._target import Target, hooks_of, is_decorated, is_file, parse_specification
from workpool.errors import EntrypointError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_CO_VARARGS, _CO_COROUTINE = 0x04, 0x80


class Entry:
    """A resolved entrypoint."""

    def __init__(self, function: Callable[..., Any], hooks: dict[str, Callable[..., Any]]) -> None:
        self.function = function
        self.is_async = is_coroutine_function(function)
        self.on_worker_start = hooks.get("on_worker_start")
        self.on_worker_exit = hooks.get("on_worker_exit")
        self.pre_task = hooks.get("pre_task")
        start = self.on_worker_start
        keeps_client = start is not None and getattr(start, "keeps_client", True)
        has_client = takes_client(function) or keeps_client
        self.takes_batches = not (self.is_async or self.pre_task is not None or has_client)
        """Whether tiny tasks may come together: nothing here can ask for more of a task than its argument."""


def load_target(data: bytes) -> Target:
    """Unpickle what the pool sent; `EntrypointError` if that cannot be done here."""
    try:
        target: Target = pickle.loads(data)
        return target
    except BaseException as error:
        raise EntrypointError(
            f"the entrypoint cannot be unpickled in the worker: {type(error).__name__}: {error}"
        ) from error


def resolve(target: Target) -> Entry:
    """Find what a target names. Raises `EntrypointError` naming module and symbol."""
    thing = _thing(target)
    hooks = {**hooks_of(thing), **target.hooks}
    function = thing.function if is_decorated(thing) else thing
    if not callable(function):
        raise _error(
            target, f"{target.text} is not callable: it is of type {type(function).__name__}"
        )
    return Entry(function, {name: _hook(target, name, hook) for name, hook in hooks.items()})


def import_entrypoint(target: Target) -> bool:
    """Import what a target names, but make and call nothing; return whether it is a coroutine function."""
    for hook in target.hooks.values():
        if isinstance(hook, str):
            _module(_target_of(hook))
    thing = target.value
    if thing is None:
        thing = _module(target)
        for name in target.symbol.split("."):
            thing = getattr(thing, name)
    return is_coroutine_function(thing)


def takes_client(function: Callable[..., Any]) -> bool:
    """Whether the function is one of (arg, client).

    That is: it has a second positional parameter without a default, or with the name ``client``.
    """
    plain, bound, given = _python_function(function)
    if plain is None:
        return False
    code, defaults = plain.__code__, plain.__defaults__ or ()
    names = list(code.co_varnames[bound : code.co_argcount])
    required = max(0, len(names) - len(defaults))
    for index, name in enumerate(names):
        if name in given:  # given by name: it and what follows cannot be given by position
            names, required = names[:index], min(required, index)
            break
    return required >= 2 or names[1:2] == ["client"]


def is_coroutine_function(function: Callable[..., Any]) -> bool:
    """Whether calling the function makes a coroutine."""
    plain, _, _ = _python_function(function)
    return plain is not None and bool(plain.__code__.co_flags & _CO_COROUTINE)


def _thing(target: Target) -> Any:
    if target.value is not None:
        return target.value
    module = _module(target)
    thing: Any = module
    owner: Any = None
    for name in target.symbol.split("."):
        owner = thing
        try:
            thing = getattr(thing, name)
        except AttributeError:
            raise _error(
                target,
                f"{target.path or target.module} has no {target.symbol!r}: "
                f"{_kind(owner)} has no attribute {name!r}",
            ) from None
    return _bound(thing, owner, target)


def _bound(thing: Any, owner: Any, target: Target) -> Any:
    """Return a method that needs an instance bound to one, made once per worker."""
    if isinstance(owner, type) and isinstance(thing, FunctionType):
        first = thing.__code__.co_varnames[: thing.__code__.co_argcount][:1]
        if first == ("self",):
            try:
                return MethodType(thing, owner())
            except Exception as error:
                raise _error(
                    target,
                    f"{target.text} is a method, and {owner.__name__}() could not be made for it: "
                    f"{type(error).__name__}: {error}",
                ) from error
    return thing


def _module(target: Target) -> ModuleType:
    try:
        if target.path is not None:
            return load_file(target.path, target.module)
        assert target.module is not None
        return import_module(target.module)
    except ModuleNotFoundError as error:
        if error.name and target.module and f"{target.module}.".startswith(f"{error.name}."):
            raise _error(
                target,
                f"there is no module {target.module!r} to find {target.symbol!r} in, on the "
                "workers' sys.path, which is that of the parent",
            ) from error
        raise _import_error(target, error) from error
    except FileNotFoundError as error:
        if target.path is not None and error.filename == target.path:
            raise _error(
                target, f"there is no file {target.path!r} to find {target.symbol!r} in"
            ) from None
        raise _import_error(target, error) from error
    except BaseException as error:
        if isinstance(error, EntrypointError):
            raise
        raise _import_error(target, error) from error


def import_module(name: str) -> ModuleType:
    """Do as `importlib.import_module`, without `importlib`, which is 0.4 ms of a worker's start."""
    __import__(name)
    return sys.modules[name]


def load_file(path: str, name: str | None = None) -> ModuleType:
    """Import a Python file under the name it would have if it were imported in the usual way.

    Its directory (that of its outermost package) is appended to `sys.path`, so that it can import
    its neighbours. Where the usual name is taken, it gets one made from its path.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(2, "no such file", path)
    root, usual = module_name_of(path)
    if root not in sys.path:
        sys.path.append(root)
    name = name or usual
    loaded = sys.modules.get(name)
    if loaded is not None and getattr(loaded, "__file__", None) == path:
        return loaded
    if loaded is not None or name in sys.stdlib_module_names:
        name = _substitute_name(path)
    return _execute_file(path, name)


def file_module_names(path: str, name: str | None = None) -> set[str]:
    """Return the names under which `load_file` may import a file."""
    return {name or module_name_of(path)[1], _substitute_name(path)}


def module_name_of(path: str) -> tuple[str, str]:
    """Return the directory to import a file from, and its dotted name there."""
    folder, file = os.path.split(path)
    stem = os.path.splitext(file)[0]
    parts = [] if stem == "__init__" else [stem]
    while os.path.isfile(os.path.join(folder, "__init__.py")):
        folder, name = os.path.split(folder)
        parts.insert(0, name)
    return folder, ".".join(parts)


def _substitute_name(path: str) -> str:
    import zlib

    number = zlib.crc32(path.encode("utf-8", "surrogateescape"))  # the same in every process
    return f"workpool_file_{number:x}"


def _execute_file(path: str, name: str) -> ModuleType:
    from importlib.util import module_from_spec, spec_from_file_location

    if "." in name:
        import_module(name.rpartition(".")[0])
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be imported: it is not a Python file")
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _hook(target: Target, name: str, hook: Any) -> Callable[..., Any]:
    if isinstance(hook, str):
        hook = _thing(_target_of(hook))
    if not callable(hook):
        raise _error(target, f"the hook {name} of {target.text} is not callable")
    function: Callable[..., Any] = hook
    return function


def _target_of(specification: str) -> Target:
    module, symbol = parse_specification(specification)
    return Target(symbol, path=module) if is_file(module) else Target(symbol, module=module)


def _python_function(function: Any) -> tuple[Any, int, set[str]]:
    """Return the Python function behind a callable, or None if there is none to be seen.

    With it: how many of its first parameters are bound, and which others are given by name.
    """
    bound, given = 0, set()
    functools = sys.modules.get("functools")
    while True:
        if functools is not None and isinstance(function, functools.partial):
            bound += len(function.args)
            given |= set(function.keywords)
            function = function.func
        elif isinstance(function, MethodType):
            bound += 1
            function = function.__func__
        elif is_decorated(function):
            function = function.function
        elif isinstance(function, FunctionType):
            wrapped = getattr(function, "__wrapped__", None)
            if wrapped is None or not function.__code__.co_flags & _CO_VARARGS:
                return function, bound, given
            function = wrapped
        else:
            call = None if isinstance(function, type) else vars(type(function)).get("__call__")
            if not isinstance(call, FunctionType):
                return None, 0, given
            bound += 1
            function = call


def _kind(owner: Any) -> str:
    return (
        "the module" if isinstance(owner, ModuleType) else repr(getattr(owner, "__name__", owner))
    )


def _error(target: Target, message: str) -> EntrypointError:
    return EntrypointError(message, module=target.path or target.module, symbol=target.symbol)


def _import_error(target: Target, error: BaseException) -> EntrypointError:
    return _error(
        target,
        f"importing {target.path or target.module} for {target.symbol!r} raised "
        f"{type(error).__name__}: {error}",
    )
