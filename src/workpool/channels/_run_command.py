"""Running a command to its end, once per input: what it wrote, or one clear error."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import NamedTuple

from workpool._system.memory import anonymous_file
from workpool._system.process import ExitStatus
from workpool.channels._channel import needs_loop
from workpool.channels._child_process import ChildProcess
from workpool.channels._command import (
    Command,
    Folder,
    checked_command,
    checked_environment,
    checked_folder,
)
from workpool.channels._output import Collected, last_lines
from workpool.errors import CommandFailed


class CommandResult(NamedTuple):
    """How a command ended, and what it wrote."""

    stdout: bytes
    stderr: bytes
    exit_code: int | None
    """None if a signal ended it."""
    signal_name: str | None
    """``"SIGKILL"``, ...; None if it exited by itself."""


class CommandRunner:
    """Runs commands, each to its end, all in one folder and environment unless told otherwise."""

    def __init__(self, *, cwd: Folder | None = None, env: Mapping[str, str] | None = None) -> None:
        """`env` is added to this process's environment."""
        self._cwd = cwd
        self._env = dict(env or {})

    async def run(
        self,
        command: Command,
        *,
        input: bytes | str = b"",  # noqa: A002
        cwd: Folder | None = None,
        env: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> CommandResult:
        """Run a command and return what it wrote, once it has ended.

        `command` is a list of words, or text that is split like a shell's but run without one. It
        reads `input`. When this is cancelled, by `asyncio.timeout` for instance, the command is
        killed with all it has started; it also ends with this process, however that ends. Raises
        `CommandFailed` if it ends badly, unless `check` is false, and `WorkerStartError` if it
        cannot be started.
        """
        words = checked_command(command)
        stdout, stderr = Collected(), Collected()
        stdin = _file_of(input)
        try:
            child = ChildProcess(
                words,
                needs_loop("run()"),
                environment=checked_environment({**self._env, **(env or {})}),
                folder=checked_folder(self._cwd if cwd is None else cwd),
                stdin=stdin,
                sinks={"stdout": stdout, "stderr": stderr},
            )
        finally:
            os.close(stdin)
        status = await _end_of(child)
        if check and status.exit_code != 0:
            raise _failure(child.shown, status, last_lines(stderr.data))
        return CommandResult(stdout.data, stderr.data, status.exit_code, status.signal_name)


async def _end_of(child: ChildProcess) -> ExitStatus:
    try:
        await child.ended()
    except asyncio.CancelledError:
        child.kill()
        await child.ended()
        raise
    assert child.status is not None
    return child.status


def _file_of(data: bytes | str) -> int:
    """Return a descriptor to read `data` from: a file, so that nobody has to keep writing."""
    data = data.encode() if isinstance(data, str) else data
    descriptor = anonymous_file("input", 0)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(data)
        os.lseek(descriptor, 0, os.SEEK_SET)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _failure(command: str, status: ExitStatus, stderr: str) -> CommandFailed:
    wrote = (
        f"The last it wrote to its standard error:\n{stderr}" if stderr else "It wrote no error."
    )
    return CommandFailed(
        f"the command '{command}' {status}. {wrote}",
        exit_code=status.exit_code,
        signal_name=status.signal_name,
        stderr=stderr,
    )
