"""A hook call that is held open: what wraps it has begun, and ends when the call is closed.

pytest runs all tests inside one call of a hook, and plugins wrap it. A worker is given its tests one
by one, by the pool's loop, so it opens that call when it starts and closes it when it ends.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pluggy


class OpenCall:
    """Begins a call of a hook with the first result only.

    Wrappers run up to their yield; other implementations run until one gives a result, or belongs
    to the plugin named `innermost`, which is not run.
    """

    def __init__(self, hook: Any, innermost: str, **arguments: Any) -> None:
        self._wrappers: list[tuple[Generator[Any, Any, Any], bool]] = []
        self.result: Any = None
        for implementation in reversed(hook.get_hookimpls()):
            if _module_of(implementation.plugin) == innermost:
                return
            given = [arguments[name] for name in implementation.argnames]
            value = implementation.function(*given)
            if implementation.wrapper or implementation.hookwrapper:
                next(value)
                self._wrappers.append((value, implementation.hookwrapper))
            elif value is not None:
                self.result = value
                return

    def close(self, result: Any = None) -> Any:
        """Let the wrappers run to their ends, the innermost first; raise what they raise."""
        error: BaseException | None = None
        while self._wrappers:
            wrapper, is_old = self._wrappers.pop()
            try:
                result = (
                    _finish_old(wrapper, result, error)
                    if is_old
                    else _finish(wrapper, result, error)
                )
                error = None
            except BaseException as raised:  # noqa: BLE001 - the wrapper around this one is told
                error = raised
        if error is not None:
            raise error
        return result


def _finish(wrapper: Generator[Any, Any, Any], result: Any, error: BaseException | None) -> Any:
    try:
        if error is None:
            wrapper.send(result)
        else:
            wrapper.throw(error)
    except StopIteration as end:
        return end.value
    raise RuntimeError(f"the hook wrapper {wrapper!r} yields more than once")


def _finish_old(wrapper: Generator[Any, Any, Any], result: Any, error: BaseException | None) -> Any:
    outcome: pluggy.Result[Any] = pluggy.Result(None if error else result, error)
    try:
        wrapper.send(outcome)
    except StopIteration:
        return outcome.get_result()
    raise RuntimeError(f"the hook wrapper {wrapper!r} yields more than once")


def _module_of(plugin: Any) -> str:
    name: str = getattr(plugin, "__name__", "") or type(plugin).__module__
    return name
