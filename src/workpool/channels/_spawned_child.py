"""One foreign child: started, set up, given arguments, ended, started anew when it is gone."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

from workpool._serialization import brief
from workpool.channels._output import LineHandler, print_plainly
from workpool.channels._parent import ParentChannel
from workpool.channels._run_command import CommandRunner
from workpool.errors import ChannelClosed, ChannelTimeout, WorkerStartError

if TYPE_CHECKING:
    from collections.abc import Callable

    from workpool._worker_crashed import WorkerCrashed
    from workpool.channels._spawned import SpawnedWorker

_LAST_WORDS = 1.0
"""Seconds a handler has when its child is gone: its waits on the channel have ended with an error, and
whatever else it does then must not take for ever."""

_EXIT_GRACE = 5.0
"""Seconds the `destroy` handler has."""

_GIVEN_UP = (
    "The child had been given up before, because a task that it was working on beside this one was "
    "cancelled or took too long: perhaps it is stuck."
)


class SpawnedChild:
    """A child as a `SpawnedWorker` describes it. Belongs to one event loop."""

    def __init__(
        self,
        worker: SpawnedWorker[Any, Any],
        output: LineHandler = print_plainly,
        on_end: Callable[[str], None] = lambda reason: None,
    ) -> None:
        """Nothing is started yet. `output` gets what the child prints, line by line.

        `on_end` is told how a child ended that ended by itself. Not if it had been given no argument
        yet: whoever starts another one then could go on so for ever.
        """
        self.starts = 0
        """How many times a child has been started."""
        self._worker = worker
        self._output = output
        self._on_end = on_end
        self._channel: ParentChannel | CommandRunner | None = None
        self._starting = asyncio.Lock()
        self._running: dict[ParentChannel | CommandRunner | None, int] = {}
        """How many arguments each child is working on. One that gets no more ends after its last."""
        self._watched: ParentChannel | None = None

    @property
    def alive(self) -> bool:
        """Whether there is a child that can take an argument."""
        channel = self._channel
        return channel.active if isinstance(channel, ParentChannel) else channel is not None

    @property
    def id(self) -> int | None:
        """The child's process id; None without one."""
        return self._channel.id if isinstance(self._channel, ParentChannel) else None

    async def start(self) -> None:
        """Start the child and run `init`, unless there is one already.

        Raises `WorkerStartError` if the command cannot be started, `init` raises, the child ends
        before `init` is done, or both take too long; then no child is left.
        """
        async with self._starting:
            if not self.alive:
                self.kill()
                channel = self._open()
                self.starts += 1
                try:
                    await self._set_up(channel)
                except BaseException:
                    _kill(channel)
                    raise
                self._channel = channel

    async def execute(self, argument: Any, task_id: int | None = None) -> Any:
        """Run one argument, in a new child if there is none; return what `execute` returns.

        Raises what `execute` raises, and `WorkerCrashed` if the child has ended under it. Gives
        nothing more to a child that may still be busy with this argument, because this was cancelled
        or it has not answered in time or its channel is broken. It is killed, as soon as it works on
        nothing else.
        """
        await self.start()
        channel = self._channel
        self._running[channel] = self._running.get(channel, 0) + 1
        try:
            return await _unless_over(channel, self._worker.execute, channel, argument)
        except (ChannelTimeout, asyncio.CancelledError) as error:
            if channel is not self._channel and isinstance(error, ChannelTimeout):
                error.args = (f"{error} {_GIVEN_UP}",)
            self._give_no_more(channel)
            raise
        except Exception as error:
            if isinstance(channel, ParentChannel) and not channel.active:
                await channel.closed()  # how it has ended may be news of the next moment
                if not channel.alive:
                    raise _crash(channel, argument, task_id) from error
                self._drop(channel)
            raise
        finally:
            self._has_ended_one(channel)

    async def destroy(self) -> None:
        """Run the `destroy` handler, then end the child.

        Raises what the handler raises, when the child has ended.
        """
        handler = self._worker.destroy if self.alive else None
        channel, self._channel = self._channel, None
        try:
            if handler is not None:
                async with asyncio.timeout(_EXIT_GRACE):
                    await _unless_over(channel, handler, channel)
        finally:
            if isinstance(channel, ParentChannel):
                await channel.destroy()

    def kill(self) -> None:
        """End the child at once, if there is one."""
        self._drop(self._channel)

    def _has_ended_one(self, channel: ParentChannel | CommandRunner | None) -> None:
        self._running[channel] -= 1
        if not self._running[channel]:
            del self._running[channel]
            if channel is not self._channel:
                _kill(channel)
        self._watch(channel)

    def _watch(self, channel: ParentChannel | CommandRunner | None) -> None:
        """See to it that the end of a child that has run an argument is told, now or when it comes."""
        if isinstance(channel, ParentChannel) and channel is not self._watched:
            self._watched = channel
            watch = asyncio.ensure_future(channel.closed())
            watch.add_done_callback(lambda _: self._on_closed(channel))

    def _on_closed(self, channel: ParentChannel) -> None:
        self._watched = None
        if self._channel is channel and channel not in self._running and not channel.alive:
            self._drop(channel)
            self._on_end(f"{channel._peer} {channel._child.status}")

    def _give_no_more(self, channel: ParentChannel | CommandRunner | None) -> None:
        if self._channel is channel:
            self._channel = None

    def _drop(self, channel: ParentChannel | CommandRunner | None) -> None:
        self._give_no_more(channel)
        _kill(channel)

    def _open(self) -> ParentChannel | CommandRunner:
        worker = self._worker
        if worker.command is None:
            return CommandRunner(cwd=worker.cwd, env=worker.env)
        return ParentChannel(
            worker.command,
            cwd=worker.cwd,
            env=worker.env,
            pickled=worker.pickled,
            timeout=worker.timeout,
            output=self._output,
        )

    async def _set_up(self, channel: ParentChannel | CommandRunner) -> None:
        if self._worker.init is None:
            return
        try:
            async with asyncio.timeout(self._worker.start_timeout) as limit:
                await _unless_over(channel, self._worker.init, channel)
        except Exception as error:
            took = f"was not done within {self._worker.start_timeout:g} seconds."
            if isinstance(channel, ParentChannel):
                took += f" {channel._evidence()}"
            took += " Give spawned_worker a higher start_timeout= if that may take so long."
            what = took if limit.expired() else f"raised {type(error).__name__}: {error}"
            exit_code = error.exit_code if isinstance(error, ChannelClosed) else None
            raise WorkerStartError(
                f"a spawned worker could not be made ready: init {what}", exit_code=exit_code
            ) from error


def _kill(channel: ParentChannel | CommandRunner | None) -> None:
    if isinstance(channel, ParentChannel):
        channel.destroy(grace=0)


def _crash(channel: ParentChannel, argument: Any, task_id: int | None) -> WorkerCrashed:
    from workpool._worker_crashed import WorkerCrashed

    name = "the task" if task_id is None else f"task {task_id}"
    end = channel._closed_error(f"{name} ({brief(argument)})")
    return WorkerCrashed(
        f"{end}\nThe tasks of other children are not affected; use retries= if running it again is "
        "safe.",
        pid=channel.id,
        exit_code=end.exit_code,
        signal_name=end.signal_name,
    )


async def _unless_over(
    channel: ParentChannel | CommandRunner | None, handler: Callable[..., Any], *arguments: Any
) -> Any:
    """Call a handler to its end, or to a moment after that of the channel."""
    result = handler(*arguments)
    if not inspect.isawaitable(result):
        return result
    if not isinstance(channel, ParentChannel):
        return await result
    work = asyncio.ensure_future(result)
    over = asyncio.ensure_future(channel.closed())
    try:
        await asyncio.wait((work, over), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            await asyncio.wait((work,), timeout=_LAST_WORDS)
        if not work.done():
            channel._check_open("the handler")
        return work.result()
    finally:
        over.cancel()
        if not work.done():
            work.cancel()
            await asyncio.wait((work,), timeout=_LAST_WORDS)
