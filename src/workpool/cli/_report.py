"""What standard error says about a job that did not simply succeed."""

from __future__ import annotations

from reprlib import Repr

from workpool.cli._encoding import ResultNotJSONError
from workpool.cli._errors import OutputError
from workpool.cli._evidence import users_part
from workpool.cli._job import Failure, InvalidInputError
from workpool.errors import EntrypointError, WorkerStartError, WorkerTraceback

__all__ = ["describe_failure", "describe_fatal", "describe_interruption", "describe_kept_going"]

_SHORT = Repr()
_SHORT.maxstring = 80


def describe_failure(failure: Failure) -> str:
    """Say which input failed with what; the worker's traceback follows as evidence."""
    return _sentence(failure) + _evidence(failure.error)


def describe_fatal(error: Exception) -> str:
    """Say what ended the job that was no input's fault."""
    if isinstance(error, OSError):
        return str(OutputError(f"cannot write to standard output: {error.strerror}"))
    return str(error) or type(error).__name__


def describe_interruption(finished: int, unfinished: int) -> str:
    """Say what an interrupted job leaves behind."""
    left = f", {unfinished} under way given up" if unfinished else ""
    return f"interrupted: {_count(finished)} done{left}"


def describe_kept_going(failed: int, finished: int) -> str:
    """Say how many inputs have an error record in place of a result."""
    return f'{failed} of {_count(finished)} failed, see the records with "error"'


def _sentence(failure: Failure) -> str:
    record, error = failure
    if isinstance(error, EntrypointError | WorkerStartError):
        return str(error)
    shown = _SHORT.repr(record.value)
    if isinstance(error, InvalidInputError):
        return f"{error}: {shown}"
    where = f"{record.name} ({shown}) failed"
    if isinstance(error, ResultNotJSONError):
        return f"{where}: {error}"
    return f"{where}: {type(error).__name__}: {error}"


def _evidence(error: BaseException) -> str:
    cause = error.__cause__
    if not isinstance(cause, WorkerTraceback):
        return ""
    if isinstance(error, EntrypointError | WorkerStartError):
        lines = users_part(cause.text)
    else:
        lines = cause.text.rstrip().splitlines()
    return "".join(f"\n  {line}" for line in lines)


def _count(inputs: int) -> str:
    return f"{inputs} input" if inputs == 1 else f"{inputs} inputs"
