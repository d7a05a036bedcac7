"""The entrypoint of the workers: runs a test, or opens and closes the session the tests run in."""

from __future__ import annotations

import gc
from typing import Any

from workpool import WorkerClient
from workpool.pytest_plugin._frozen_objects import show_when_asked
from workpool.pytest_plugin._head_start import forget_controller
from workpool.pytest_plugin._memory import peak_bytes
from workpool.pytest_plugin._worker_settings import WorkerSettings

DESCRIBE, FINISH = 1, 2
"""What a worker is to do when it is given no test, which is a string, and no settings to collect with."""

MEMORY = "memory"
"""What a worker reports at its end, beside what its session does: the most bytes it has had."""

NOT_OPEN, NOT_HERE = 0, 1
"""What a test comes to, instead of reports, in a worker that took the place of one that died and has not
opened its session; and in one that has not collected it."""

FAILED, LATE, WARNINGS = "workpool-failed", "workpool-late", "workpool-warnings"
"""Messages: reports of a failure, at once; of a tear-down after its test; warnings outside of tests."""

NOT_COMING = "workpool-not-coming"
"""Message to a worker: the test that was to follow its last one will not."""

OPENED = "workpool-opened"
"""Message: the process and the descriptors it captures output with."""


_FOLLOWED_BY = "\0\0"
"""In a test's argument: no nodeid has it, and no number of one does."""


def pack_test(name: str, following: str) -> str:
    """Return the argument for a test and the one that follows it, which may be empty."""
    return f"{name}{_FOLLOWED_BY}{following}" if following else name


def unpack_test(argument: str) -> tuple[str, str]:
    """Return the test, and the one that follows it by the plan."""
    name, _, following = argument.partition(_FOLLOWED_BY)
    return name, following


def on_worker_start(client: WorkerClient) -> None:
    """Note that no session is open. To open one may take long, so that is a task."""
    forget_controller()
    show_when_asked()
    client.state.runner = None


def work(argument: Any, client: WorkerClient) -> Any:
    """Run the test of that name, or do what the number says."""
    runner = client.state.runner
    if argument.__class__ is str:
        return runner.run(*unpack_test(argument)) if runner is not None else NOT_OPEN
    if argument.__class__ is not int:
        return _open(client, WorkerSettings.unpacked(argument))
    if runner is None:
        return {}
    if argument == DESCRIBE:
        return runner.describe()
    return {**runner.close(), MEMORY: peak_bytes()}


def on_worker_exit(client: WorkerClient) -> None:
    """Close a session that was not closed by a task."""
    if client.state.runner is not None:
        client.state.runner.close()
    gc.freeze()  # what is left ends with the process: to look through it all first would take long


def _open(client: WorkerClient, settings: WorkerSettings) -> Any:
    """Open the session."""
    from workpool.pytest_plugin._test_runner import TestRunner

    runner = client.state.runner = TestRunner(client, settings)
    return runner.open()


work.on_worker_start = on_worker_start  # type: ignore[attr-defined]
work.on_worker_exit = on_worker_exit  # type: ignore[attr-defined]
