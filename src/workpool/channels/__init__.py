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

TYPE_CHECKING = False
if TYPE_CHECKING:
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

_HOMES = {
    "ChildChannel": "_child",
    "CommandResult": "_run_command",
    "CommandRunner": "_run_command",
    "ParentChannel": "_parent",
    "SpawnedWorker": "_spawned",
    "spawned_worker": "_spawned",
}


def __getattr__(name: str) -> object:
    # A child must not pay for the parent's side when it starts.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    home = importlib.import_module(f"{__name__}.{_HOMES[name]}")
    globals()[name] = thing = getattr(home, name)
    return thing


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
