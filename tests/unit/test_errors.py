"""The errors: all of them travel between processes, and say whose fault it is."""

from __future__ import annotations

import concurrent.futures
import copy
import pickle
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool

import pytest

import workpool
from workpool._worker_crashed import crash_error
from workpool.errors import (
    ChannelClosed,
    ChannelFull,
    ChannelTimeout,
    CommandFailed,
    EntrypointError,
    InternalError,
    PoolClosed,
    RequestFailed,
    SerializationError,
    TaskCancelled,
    TaskTimeout,
    WorkerCrashed,
    WorkerStartError,
    WorkerTraceback,
    WorkpoolError,
)

SPECIMENS: list[Exception] = [
    WorkpoolError("what happened"),
    PoolClosed("closed"),
    EntrypointError("missing", module="pkg.mod", symbol="render"),
    EntrypointError("missing"),
    WorkerStartError("hung", exit_code=-9),
    WorkerStartError("died", exit_code=1, output="no such library"),
    SerializationError("stays here", side="worker", subject="result"),
    TaskTimeout("too long"),
    TaskCancelled("enough"),
    ChannelClosed("gone", exit_code=None, signal_name="SIGSEGV"),
    ChannelFull("nobody reads"),
    ChannelTimeout("no answer"),
    RequestFailed("it raised", error_type="ValueError", error_message="no size"),
    CommandFailed("it ended badly", exit_code=2, stderr="no such file"),
    InternalError("our fault"),
    WorkerTraceback("Traceback: ..."),
    WorkerCrashed("gone", pid=7, exit_code=None, signal_name="SIGKILL", task_id=3, attempts=2),
]


@pytest.mark.parametrize("error", SPECIMENS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("protocol", [2, 5])
def test_every_error_survives_pickling(error: Exception, protocol: int) -> None:
    """Type, message and every attribute are the same on the other side."""
    error.add_note("a note")
    back = pickle.loads(pickle.dumps(error, protocol))
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert vars(back) == vars(error)


@pytest.mark.parametrize("error", SPECIMENS, ids=lambda error: type(error).__name__)
def test_every_error_can_be_copied(error: Exception) -> None:
    """One failure is told to several tasks: each gets its own exception."""
    again = copy.copy(error)
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_the_specimens_are_complete() -> None:
    """No error of the package is left out of the tests above."""
    public = {getattr(workpool.errors, name) for name in workpool.errors.__all__}
    assert {type(error) for error in SPECIMENS} == public
    exported = [name for name in workpool.__all__ if name in workpool.errors.__all__]
    assert set(exported) == set(workpool.errors.__all__)


@pytest.mark.parametrize("kind", [type(error) for error in SPECIMENS])
def test_all_errors_have_one_base(kind: type[Exception]) -> None:
    """`except WorkpoolError` catches what the pool raises; the traceback is only evidence."""
    assert issubclass(kind, WorkpoolError) or kind is WorkerTraceback


def test_errors_are_what_callers_of_the_standard_library_catch() -> None:
    """A timeout is a `TimeoutError`, a crash a `BrokenProcessPool`."""
    assert issubclass(TaskTimeout, TimeoutError)
    assert issubclass(WorkerCrashed, BrokenProcessPool)
    assert issubclass(WorkerCrashed, concurrent.futures.BrokenExecutor)


def test_the_traceback_is_shown_as_it_came() -> None:
    """The text of the worker's traceback stands in the cause."""
    assert "in render\n  boom" in str(WorkerTraceback("in render\n  boom\n"))


@pytest.mark.parametrize(
    ("exit_code", "signal_name", "said"),
    [
        (None, "SIGKILL", "out-of-memory"),
        (None, "SIGSEGV", "segmentation fault"),
        (None, "SIGUSR1", "SIGUSR1"),
        (3, None, "exited with code 3"),
        (0, None, "exited with code 0"),
        (None, None, "ended"),
    ],
)
def test_a_crash_says_what_happened_why_and_what_to_do(
    exit_code: int | None, signal_name: str | None, said: str
) -> None:
    """Process, task, argument, likely cause and remedy are in the message and attributes."""
    error = crash_error(
        pid=11,
        exit_code=exit_code,
        signal_name=signal_name,
        task_id=5,
        attempts=2,
        argument="'cat.png'",
    )
    for part in (said, "process 11", "task 5", "'cat.png'", "attempt 2", "retries="):
        assert part in str(error)
    assert (error.pid, error.exit_code, error.signal_name) == (11, exit_code, signal_name)
    assert (error.task_id, error.attempts) == (5, 2)


@pytest.mark.parametrize(
    ("oom_kills", "said"),
    [(None, "or somebody's kill -9"), (0, "has not struck"), (2, "ended 2 process")],
)
def test_a_kill_is_explained_by_the_kernels_count(oom_kills: int | None, said: str) -> None:
    """What the out-of-memory killer has done meanwhile decides what a SIGKILL probably was."""
    error = crash_error(
        pid=11,
        exit_code=None,
        signal_name="SIGKILL",
        task_id=5,
        attempts=1,
        argument="'cat.png'",
        oom_kills=oom_kills,
    )
    assert said in str(error)


def test_errors_do_not_import_multiprocessing() -> None:
    """Every worker imports the errors; only the crash's second base class is dear."""
    program = (
        "import sys; import workpool.errors; "
        "assert not {'multiprocessing', 'concurrent.futures'} & sys.modules.keys()"
    )
    path = f"import sys; sys.path[:] = {sys.path!r}; "
    subprocess.run([sys.executable, "-c", path + program], check=True)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """Lazy names do not make a module answer to everything."""
    with pytest.raises(AttributeError, match="Nonsense"):
        _ = workpool.errors.Nonsense
    with pytest.raises(AttributeError, match="Nonsense"):
        _ = workpool.Nonsense
