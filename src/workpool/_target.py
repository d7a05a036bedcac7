"""The portable form of an entrypoint: what the pool tells its workers. Pure.

Every worker imports this module, so it imports next to nothing.
"""

from __future__ import annotations

from workpool.errors import EntrypointError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HOOKS = ("on_worker_start", "on_worker_exit", "pre_task")


class Target:
    """Where the entrypoint is, or the thing itself, and its hooks.

    Exactly one of `module` (dotted name), `path` (of a file) and `value` is what it is found by;
    `module` may accompany `path`, when the pool's process has that file loaded under this name.
    """

    __slots__ = ("hooks", "module", "path", "symbol", "value")

    def __init__(
        self,
        symbol: str,
        *,
        module: str | None = None,
        path: str | None = None,
        value: Any = None,
        hooks: dict[str, Any] | None = None,
    ) -> None:
        self.symbol = symbol
        self.module = module
        self.path = path
        self.value = value
        self.hooks = hooks or {}

    @property
    def text(self) -> str:
        """Return the entrypoint as ``module:symbol``, for messages."""
        return f"{self.path or self.module or '__main__'}:{self.symbol}"

    def __repr__(self) -> str:
        return self.text


def parse_specification(text: str) -> tuple[str, str]:
    """Split ``"pkg.mod:symbol"`` or ``"path/file.py:symbol"``; `EntrypointError` if it is neither."""
    module_path, colon, symbol = text.rpartition(":")
    if not colon or not module_path or not all(map(str.isidentifier, symbol.split("."))):
        raise EntrypointError(
            f"{text!r} does not name an entrypoint: write 'package.module:symbol' or "
            "'path/to/file.py:symbol'"
        )
    return module_path, symbol


def is_decorated(thing: Any) -> bool:
    """Whether a thing was decorated with `workpool.entrypoint`."""
    return getattr(type(thing), "workpool_entrypoint", False) is True


def hooks_of(thing: Any) -> dict[str, Any]:
    """Return the hooks that a resolved symbol carries."""
    if is_decorated(thing):
        return dict(thing.hooks)
    hooks = {name: getattr(thing, name, None) for name in HOOKS}
    return {name: hook for name, hook in hooks.items() if hook is not None}


def is_file(module_path: str) -> bool:
    """Whether a module path is a file's path, not a dotted name."""
    return module_path.endswith((".py", ".pyw")) or "/" in module_path
