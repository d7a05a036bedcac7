"""How far a source has been processed, and what handlers and callers are told of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from workpool._serialization import brief

ArgT = TypeVar("ArgT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a source has been processed at one moment."""

    total: int | None
    """How many items there are: as the caller said, or the length of the source if it has one; None
    while nobody knows."""
    completed: int
    """How many have ended well."""
    failed: int
    """How many have raised an error or, by `is_success`, have not ended well."""

    @property
    def finished(self) -> int:
        """How many have ended."""
        return self.completed + self.failed


@dataclass(frozen=True, slots=True)
class CompletionEvent(Generic[ArgT, ResultT]):
    """A task has returned a result; what `on_complete` of `WorkerPool.process` is given."""

    argument: ArgT
    result: ResultT
    success: bool
    """What `is_success` says of the result; True without one."""
    progress: Progress


@dataclass(frozen=True, slots=True)
class ErrorEvent(Generic[ArgT]):
    """A task has ended with an error; what `on_error` of `WorkerPool.process` is given."""

    argument: ArgT
    error: BaseException
    progress: Progress


def label_of(progress: bool | str | None) -> str | None:
    """Return the label of the bar that ``progress=`` asks for, ``""`` for none; None for no bar.

    Raises `TypeError` for anything that is neither a yes or no nor a label.
    """
    if progress is None or progress is False:
        return None
    if progress is True:
        return ""
    if isinstance(progress, str):
        return progress
    raise TypeError(f"progress must be True, False, None or a label, not {brief(progress)}")


@dataclass(frozen=True, slots=True)
class ProcessSummary:
    """What became of a source that has been processed to its end."""

    total: int
    """How many items there were."""
    completed: int
    """How many ended well."""
    failed: int
    """How many did not."""
