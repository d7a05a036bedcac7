"""`WorkerCrashed`, the error of a task whose worker died under it."""

from __future__ import annotations

from concurrent.futures.process import BrokenProcessPool

from workpool.errors import WorkpoolError


class WorkerCrashed(WorkpoolError, BrokenProcessPool):
    """The worker process died while it ran this task.

    Only this task fails; the pool goes on with a new worker. It is also a `BrokenProcessPool`, so
    that code written for `concurrent.futures` catches it, though the pool is not broken.

    Attributes: `pid` of the dead worker; `exit_code` (int) if it exited by itself, else None;
    `signal_name` (``"SIGKILL"``, ...) if a signal ended it, else None; `task_id`; `attempts`, how
    often the task has been started.
    """

    def __init__(
        self,
        message: str,
        *,
        pid: int | None = None,
        exit_code: int | None = None,
        signal_name: str | None = None,
        task_id: int | None = None,
        attempts: int = 1,
    ) -> None:
        super().__init__(message)
        self.pid = pid
        self.exit_code = exit_code
        self.signal_name = signal_name
        self.task_id = task_id
        self.attempts = attempts


_LIKELY_CAUSES = {
    "SIGSEGV": "a segmentation fault, probably in an extension module",
    "SIGBUS": "a bus error, probably a mapped file that shrank or memory that ran out",
    "SIGABRT": "an abort, probably an assertion in an extension module",
    "SIGILL": "an instruction this CPU does not have, probably in an extension module",
    "SIGFPE": "an arithmetic fault in an extension module",
    "SIGTERM": "somebody asked the process to terminate",
}


def crash_error(
    *,
    pid: int,
    exit_code: int | None,
    signal_name: str | None,
    task_id: int,
    attempts: int,
    argument: str,
    killed_for: str = "",
    oom_kills: int | None = None,
) -> WorkerCrashed:
    """Say what happened to a task whose worker died, and the likely cause.

    `oom_kills` is how many processes the kernel has ended for lack of memory meanwhile, None if
    that is not known.
    """
    if signal_name is not None:
        how = f"was ended by {signal_name}"
        cause = (
            _cause_of_sigkill(oom_kills)
            if signal_name == "SIGKILL"
            else _LIKELY_CAUSES.get(signal_name, "the signal was not sent by the pool")
        )
    elif exit_code is not None:
        how = f"exited with code {exit_code}"
        cause = "probably os._exit() or a library that ends the process"
    else:
        how = "ended"
        cause = "its exit status was taken by somebody else's wait(), or lost with its template"
    if killed_for:
        cause = f"the pool killed it because {killed_for}"
    message = (
        f"worker process {pid} {how} while it ran task {task_id} ({argument}), "
        f"attempt {attempts}: {cause}. The other tasks are not affected; "
        "use retries= if running it again is safe."
    )
    return WorkerCrashed(
        message,
        pid=pid,
        exit_code=exit_code,
        signal_name=signal_name,
        task_id=task_id,
        attempts=attempts,
    )


def _cause_of_sigkill(oom_kills: int | None) -> str:
    if oom_kills is None:
        return "probably the kernel's out-of-memory killer, or somebody's kill -9"
    if not oom_kills:
        return "somebody's kill -9; the kernel's out-of-memory killer has not struck meanwhile"
    return (
        "probably the kernel's out-of-memory killer: on this machine it has ended "
        f"{oom_kills} process(es) meanwhile (oom_kill in /proc/vmstat)"
    )
