"""Channels: a conversation of named messages with a child process, in any language.

In the parent::

    async with ParentChannel([sys.executable, "child.py"]) as channel:
        print(await channel.request("double", 21))

and in child.py, inside a coroutine::

    async with ChildChannel() as channel:
        channel.listen_for("double", lambda number: 2 * number)
        await channel.closed()

The format of the lines between the two is described in docs/channels.md.
"""

from __future__ import annotations

from workpool.channels._child import ChildChannel
from workpool.channels._parent import ParentChannel
from workpool.channels._run_command import CommandResult, CommandRunner
from workpool.channels._spawned import SpawnedWorker, spawned_worker

__all__ = [
    "ChildChannel",
    "CommandResult",
    "CommandRunner",
    "ParentChannel",
    "SpawnedWorker",
    "spawned_worker",
]
