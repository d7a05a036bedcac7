"""Every error workpool raises.

All of them survive pickling, so a task may raise them through a worker or a pool of pools.
`WorkerCrashed` is kept apart (`workpool._worker_crashed`), because its second base class would
make every worker import `multiprocessing`.
"""

from __future__ import annotations

from workpool._quick import pickle

TYPE_CHECKING = False  # as `typing` has it, which workers must not have to import
if TYPE_CHECKING:
    from workpool._worker_crashed import WorkerCrashed

__all__ = [
    "ChannelClosed",
    "ChannelFull",
    "ChannelTimeout",
    "CommandFailed",
    "EntrypointError",
    "InternalError",
    "PoolClosed",
    "RequestFailed",
    "SerializationError",
    "TaskCancelled",
    "TaskTimeout",
    "WorkerCrashed",
    "WorkerStartError",
    "WorkerTraceback",
    "WorkpoolError",
]


class WorkpoolError(Exception):
    """Base class of every error of this package."""


class PoolClosed(WorkpoolError, RuntimeError):
    """The pool was closed, disposed of or killed, and was asked for something afterwards.

    Also the outcome of tasks that were pending when the pool was killed. A `RuntimeError`, as
    `concurrent.futures` has it.
    """


class EntrypointError(WorkpoolError):
    """The entrypoint cannot be used: module or symbol missing, not callable, import raising.

    Attributes: `module` and `symbol` as they were looked for, or None where they play no part.
    The worker's traceback, where there is one, is the `__cause__`.
    """

    def __init__(
        self, message: str, *, module: str | None = None, symbol: str | None = None
    ) -> None:
        super().__init__(message)
        self.module = module
        self.symbol = symbol


class WorkerStartError(WorkpoolError):
    """A worker could not be made ready: its start hook raised or hung, or it died before that.

    Attributes: `exit_code`, the process's exit code (negative: the number of the signal that ended
    it), or None when it was not its end that made the start fail; `output`, the last lines the
    worker wrote, as far as they went through the pool, else ``""``.
    """

    def __init__(self, message: str, *, exit_code: int | None = None, output: str = "") -> None:
        super().__init__(f"{message} The last it wrote:\n{output}" if output else message)
        self.exit_code = exit_code
        self.output = output


class SerializationError(WorkpoolError, pickle.PicklingError):
    """An argument, result, message or exception could not cross the border between processes.

    Only the task concerned fails; its worker lives on. A `pickle.PicklingError`, whichever side and
    direction it was. Attributes: `side`, ``"pool"`` or
    ``"worker"`` (of a channel ``"parent"`` or ``"child"``), where it failed; `subject`, what it
    was (``"argument"``, ``"result"``, ...).
    """

    def __init__(self, message: str, *, side: str = "pool", subject: str = "object") -> None:
        super().__init__(message)
        self.side = side
        self.subject = subject


class TaskTimeout(WorkpoolError, TimeoutError):
    """A task ran longer than its `timeout` (seconds, counted from its start in a worker)."""


class TaskCancelled(WorkpoolError):
    """Raised inside a running synchronous task to interrupt it.

    A task that lets it pass ends at once; one that swallows it and goes on is ended together
    with its worker after a grace period.
    """


class ChannelClosed(WorkpoolError):
    """The channel has ended: its other side left or died, broke the format, or this side closed it.

    Attributes: `exit_code` (int) of the child if it exited by itself, else None; `signal_name`
    (``"SIGKILL"``, ...) if a signal ended it, else None; both None in the child, and while the
    child still runs.
    """

    def __init__(
        self, message: str, *, exit_code: int | None = None, signal_name: str | None = None
    ) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.signal_name = signal_name


class ChannelFull(WorkpoolError):
    """The other side of the channel does not read, and too much waits to be sent already."""


class ChannelTimeout(WorkpoolError, TimeoutError):
    """What was waited for on a channel did not come within its `timeout` (seconds)."""


class RequestFailed(WorkpoolError):
    """The other side of the channel answered a request with an error.

    Its traceback, where it came along, is the `__cause__`. Attributes: `error_type`, the name of
    the error's type (``"NoHandler"`` if nobody listens for that type of request); `error_message`.
    """

    def __init__(self, message: str, *, error_type: str = "", error_message: str = "") -> None:
        super().__init__(message)
        self.error_type = error_type
        self.error_message = error_message


class CommandFailed(WorkpoolError):
    """A command that was run to its end ended badly.

    Attributes: `exit_code` (int) if it exited by itself, else None; `signal_name` if a signal ended
    it, else None; `stderr`, the last lines it wrote to its standard error.
    """

    def __init__(
        self,
        message: str,
        *,
        exit_code: int | None = None,
        signal_name: str | None = None,
        stderr: str = "",
    ) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.signal_name = signal_name
        self.stderr = stderr


class InternalError(WorkpoolError):
    """workpool itself is at fault. Please report it with the traceback."""


class WorkerTraceback(Exception):
    """The traceback of an exception as it was formatted in the worker that raised it."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text.rstrip()}\n"""'


def __getattr__(name: str) -> object:
    if name == "WorkerCrashed":
        from workpool._worker_crashed import WorkerCrashed

        return WorkerCrashed
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
