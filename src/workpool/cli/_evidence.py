"""The part of a worker's traceback that is the user's. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["users_part"]

_LIBRARY = str(Path(__file__).resolve().parents[1])
_NOT_THE_USERS = (f'"{_LIBRARY}/', '"<frozen importlib', '/importlib/__init__.py"')

# How Python separates the tracebacks of exceptions that led to one another.
_CHAINED = re.compile(r"\n\n(?:The above exception|During handling of the above exception)")


def users_part(traceback: str) -> list[str]:
    """Return the lines of a traceback without the frames of this library and of the import system.

    Of exceptions that led to one another only the first is looked at, the root of it all. Nothing
    is left if no frame is the user's: then the error's message says everything.
    """
    root = _CHAINED.split(traceback.strip(), maxsplit=1)[0]
    first, *entries = list(_entries(root))
    users = [entry for entry in entries if not any(path in entry[0] for path in _NOT_THE_USERS)]
    if not any(entry[0].startswith("  File ") for entry in users):
        return []
    return [line for entry in (first, *users) for line in entry]


def _entries(traceback: str) -> Iterator[list[str]]:
    """Yield the heading, each frame with the lines that belong to it, and the exception."""
    entry: list[str] = []
    for line in traceback.splitlines():
        if entry and (line.startswith("  File ") or not line.startswith(" ")):
            yield entry
            entry = []
        entry.append(line)
    yield entry
