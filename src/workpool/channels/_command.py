"""Commands: what users may give, how they are shown, why one could not be started."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from workpool._serialization import brief
from workpool.errors import WorkerStartError

Command: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
Folder: TypeAlias = str | os.PathLike[str]

_LONGEST_SHOWN = 100
_LIMITS = (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM)


def checked_command(command: object) -> list[str]:
    """Return a command as a list of words.

    Text is split as a shell would, but no shell runs it: pipes and variables need
    ``["sh", "-c", "..."]``.
    """
    if isinstance(command, str):
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise ValueError(f"the command {brief(command)} cannot be split: {error}") from None
    elif isinstance(command, os.PathLike):
        words = [_word(command)]
    elif isinstance(command, Sequence) and not isinstance(command, bytes | bytearray):
        words = [_word(word) for word in command]
    else:
        raise TypeError(f"the command must be text or a list of words, not {brief(command)}")
    if not words or not words[0]:
        raise ValueError("the command is empty")
    if any("\0" in word for word in words):
        raise ValueError(f"the command {brief(words)} contains a null character")
    return words


def checked_environment(env: Mapping[str, str] | None) -> dict[str, str]:
    """Return this process's environment with `env` over it."""
    if env is not None and not isinstance(env, Mapping):
        raise TypeError(f"env must be a mapping of text to text, not {brief(env)}")
    for name, value in (env or {}).items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"env must map text to text, not {brief(name)} to {brief(value)}")
        if not name or "=" in name or "\0" in name + value:
            raise ValueError(f"env has an entry that no process can have: {name!r} = {value!r}")
    return {**os.environ, **(env or {})}


def checked_folder(cwd: Folder | None) -> str | None:
    """Return the folder to start in as text."""
    return None if cwd is None else os.fspath(cwd)


def check_pickled(pickled: object) -> None:
    """Check that it is yes or no: a wrong yes would let the child run code in this process."""
    if not isinstance(pickled, bool):
        raise TypeError(f"pickled must be True or False, not {brief(pickled)}")


def shown(words: Sequence[str]) -> str:
    """Return a command for messages."""
    text = shlex.join(words)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."


def start_error(
    words: Sequence[str], folder: str | None, environment: Mapping[str, str], error: OSError
) -> WorkerStartError:
    """Say why a command could not be started, and what to do."""
    why = _why(words[0], folder, environment, error)
    failed = WorkerStartError(f"the command '{shown(words)}' could not be started: {why}")
    failed.__cause__ = error
    return failed


def _why(program: str, folder: str | None, environment: Mapping[str, str], error: OSError) -> str:
    if folder is not None and not Path(folder).is_dir():
        return f"{folder!r}, where it should start, is not a folder (cwd=)."
    place = Path(folder or "", program)
    if isinstance(error, FileNotFoundError):
        if os.sep not in program:
            path = environment.get("PATH", "")
            return f"no program {program!r} is in any folder of PATH ({path}). Install it or give its full path."
        if place.exists():
            return f"{program!r} exists, but the interpreter its first line names does not."
        return f"there is no file {program!r} (seen from {str(Path(folder or '').absolute())!r})."
    if isinstance(error, PermissionError):
        found = shutil.which(program, path=environment.get("PATH")) or program
        return (
            f"{found!r} may not be executed ({error.strerror}). Make it executable (chmod +x), or "
            "name the interpreter that runs it first, as in ['python3', 'worker.py']."
        )
    if error.errno == errno.ENOEXEC:
        return f"{program!r} is neither a program nor a script whose first line names its interpreter (#!)."
    if error.errno in _LIMITS:
        return f"{error}. Probably the limit on processes, open files or memory has been reached."
    return f"{error}."


def _word(word: object) -> str:
    text = os.fspath(word) if isinstance(word, os.PathLike) else word
    if not isinstance(text, str):
        raise TypeError(f"the words of a command must be text, not {brief(word)}")
    return text
