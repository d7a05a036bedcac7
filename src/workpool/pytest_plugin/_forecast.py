"""What is known of a run before it begins: from what earlier ones have left in pytest's cache.

That is asked so early that pytest's own way to its cache is not there yet, and the plugins that want to know
whether the run is parallel ask next. So the files are read as they are.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from _pytest.cacheprovider import Cache

from workpool.pytest_plugin._durations import DURATIONS, LOST, SET_UPS

MEMORY = "workpool/memory"
"""The key of the bytes that a worker had at most."""

_MOST_BYTES = 1 << 16
"""Of the remembered durations that are looked at: more, some hundred tests, are many anyway."""

_SEPARATORS = ("/", "::", "[", " ")
"""What follows, in a nodeid, on the name of a folder, a file or class, a function; in a home on that of a file."""


class Forecast(NamedTuple):
    """The tests that are known of those that were asked for. There may be others by now."""

    tests: int
    seconds: float
    """What they took when they were last run, with the fixtures that neighbours share."""
    is_safe: bool
    """Whether each of them came to an end, and did not have to be ended."""


_MANY = Forecast(sys.maxsize, inf, is_safe=True)


def foresee(config: pytest.Config) -> Forecast | None:
    """Return what is known of the tests that were asked for; None if that is not enough to go by."""
    folder = _cache_folder(config)
    if folder is None:
        return None
    prefixes = _prefixes(config)
    if _is_long(folder / DURATIONS):
        return _MANY
    durations = _read(folder / DURATIONS, dict)
    if not durations or prefixes is None:
        return None
    found: set[str] = set()
    for prefix in prefixes:
        matching = {name for name in durations if _is_in(name, prefix)}
        if not matching:
            return None
        found |= matching
    lost = _read(folder / LOST, list) or []
    is_safe = not any(not name or name in found for name in lost)
    seconds = sum(durations[name] for name in found)
    return Forecast(len(found), seconds + _set_up_seconds(folder, prefixes), is_safe)


def _set_up_seconds(folder: Path, prefixes: list[str]) -> float:
    """Return what the fixtures take that tests of a module share, of modules in or around what was asked for."""
    set_ups: dict[str, float] = _read(folder / SET_UPS, dict) or {}
    return sum(
        seconds
        for home, seconds in set_ups.items()
        if any(_is_in(home, prefix) or prefix.startswith(home) for prefix in prefixes)
    )


def worker_bytes(config: pytest.Config) -> int:
    """Return the memory that a worker had at most in the last run; 0 if that is not known."""
    folder = _cache_folder(config)
    return (_read(folder / MEMORY, int) or 0) if folder is not None else 0


def _cache_folder(config: pytest.Config) -> Path | None:
    """Return where the values of pytest's cache are; None if it is not used, or is about to be cleared."""
    has_cache = config.pluginmanager.has_plugin("cacheprovider")
    if not has_cache or config.known_args_namespace.cacheclear:
        return None
    try:
        return Cache.cache_dir_from_config(config, _ispytest=True) / "v"
    except (AttributeError, TypeError, ValueError):  # it is pytest's own, and may change
        return None


def _read(path: Path, kind: type) -> Any:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, kind) else None


def _is_long(path: Path) -> bool:
    with suppress(OSError):
        return path.stat().st_size > _MOST_BYTES
    return False


def _prefixes(config: pytest.Config) -> list[str] | None:
    """Return what the nodeids begin with of the tests that were asked for; None if that cannot be told."""
    known = config.known_args_namespace
    if known.pyargs:
        return None
    try:
        return list(_relative(config, known.file_or_dir or ["."]))
    except ValueError:  # it lies outside
        return None


def _relative(config: pytest.Config, arguments: list[str]) -> Iterator[str]:
    for argument in arguments:
        place, separator, rest = str(argument).partition("::")
        path = (config.invocation_params.dir / place).resolve()
        folder = path.relative_to(config.rootpath.resolve()).as_posix()
        yield ("" if folder == "." else folder) + separator + rest


def _is_in(name: str, prefix: str) -> bool:
    if not prefix:
        return True
    rest = name[len(prefix) :]
    return name.startswith(prefix) and (not rest or rest.startswith(_SEPARATORS))
