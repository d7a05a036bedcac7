"""What a worker says whose session could not be opened, or did not end well."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import _pytest
import pluggy
import pytest
from _pytest.config import ConftestImportFailure

_FILES = (__file__, *(str(module.__file__) for module in (_pytest, pluggy, importlib)))
_MACHINERY = ("<frozen ", *(str(Path(file).parent) for file in _FILES))
"""Where the paths of frames begin that tell the user nothing."""


def explain(error: BaseException) -> str:
    """Return the error in a line, and then where it comes from: the frames of pytest's own left out."""
    origin = ""
    if isinstance(error, ConftestImportFailure):
        origin = f" (from {error.path})"
        error = error.cause
    info = users_part(error)
    return f"{info.exconly()}{origin}\n{info.getrepr(style='short', chain=False)}"


def users_part(error: BaseException) -> pytest.ExceptionInfo[BaseException]:
    """Return the error, with the frames that the user has written, if there are any."""
    info = pytest.ExceptionInfo.from_exception(error)
    theirs = info.traceback.filter(_is_the_users)
    if theirs:
        info.traceback = theirs
    return info


def _is_the_users(entry: Any) -> bool:
    return not str(entry.path).startswith(_MACHINERY)
