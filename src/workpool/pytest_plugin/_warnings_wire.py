"""Warnings on the wire."""

from __future__ import annotations

import sys
import warnings
from typing import Any

from workpool.pytest_plugin._plain import plain


def pack_warning(
    message: warnings.WarningMessage, when: str, nodeid: str, location: Any
) -> tuple[Any, ...]:
    """Pack what `pytest_warning_recorded` is told."""
    kind = message.category
    return (
        kind.__module__,
        kind.__qualname__,
        str(message.message),
        str(message.filename),
        message.lineno,
        None if message.line is None else str(message.line),
        when,
        nodeid,
        plain(location),
    )


def unpack_warning(packed: tuple[Any, ...]) -> dict[str, Any]:
    """Return the arguments of `pytest_warning_recorded`."""
    module, name, text, filename, lineno, line, when, nodeid, location = packed
    category = _category(module, name)
    message = warnings.WarningMessage(
        _message(category, text), category, filename, lineno, line=line
    )
    return {"warning_message": message, "when": when, "nodeid": nodeid, "location": location}


def _category(module: str, name: str) -> type[Warning]:
    """Return the class if it is imported here, else one of its name."""
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if isinstance(found, type) and issubclass(found, Warning):
        return found
    return type(name.rpartition(".")[2], (UserWarning,), {"__module__": module})


def _message(category: type[Warning], text: str) -> Warning:
    """Return a warning of this class that reads like this."""
    try:
        message = category(text)
        if str(message) == text:
            return message
    except Exception:  # noqa: BLE001 - a class may ask for other arguments
        pass
    return UserWarning(text)
