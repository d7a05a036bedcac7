"""The workers' template as a fork of the controller, which by then has imported pytest and its plugins.

To import them once more takes longer than all else before the first test. The fork is made where that is
as good as a new interpreter: in a process that is pytest's command and nothing else, before it has
read a conftest, started a thread or opened a file.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from workpool import ForkedTemplate

_COMMANDS = ("pytest", "py.test")
_REWRITING = "_pytest.assertion.rewrite"
_OWN = "workpool"
_NEEDED = ("workpool.pytest_plugin._entry",)

_named_plugins: list[str] = []
"""Modules of plugins that were given by name: each worker imports its own."""


def fork_template_early(config: pytest.Config) -> ForkedTemplate | None:
    """Fork the template, if this process is fit for it."""
    if not _is_pytest_command():
        return None
    atexit.register(gc.freeze)  # to look through all that is left, for what ends anyway, takes long
    if _has_files_open():
        return None
    from workpool import fork_template

    _named_plugins[:] = _given_by_name(config)
    with suppress(RuntimeError, OSError):  # a new interpreter does as well, if later
        return fork_template(imports=_NEEDED)
    return None


def forget_controller() -> None:
    """In a worker: undo what a process that is to configure pytest anew has not yet done.

    The modules of a plugin that was given by name are imported again: it is often the project's own, and
    may look, when it is imported, at the variables that name the worker.
    """
    sys.meta_path[:] = [finder for finder in sys.meta_path if not _is_rewriting(finder)]
    for plugin in _named_plugins:
        for name in [*sys.modules]:
            is_part = name == plugin or name.startswith(f"{plugin}.")
            if is_part and _is_rewriting(getattr(sys.modules[name], "__loader__", None)):
                del sys.modules[name]


def _is_pytest_command() -> bool:
    main: Any = sys.modules.get("__main__")
    name = getattr(getattr(main, "__spec__", None), "name", "")
    return name == "pytest.__main__" or Path(getattr(main, "__file__", "") or "").name in _COMMANDS


def _has_files_open() -> bool:
    """Whether this process has opened anything that it still holds, beside what it was started with."""
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # that of the listing is closed
            if int(name) > 2 and not os.get_inheritable(int(name)):
                return True
    return False


def _given_by_name(config: pytest.Config) -> list[str]:
    names = [*(config.known_args_namespace.plugins or ())]
    names += os.environ.get("PYTEST_PLUGINS", "").split(",")
    # "-p asyncio" names an entry point, but there is a module of that name in the standard library too.
    others = {_OWN, *sys.stdlib_module_names}
    return [name for name in names if name in sys.modules and name.partition(".")[0] not in others]


def _is_rewriting(thing: object) -> bool:
    return type(thing).__module__ == _REWRITING
