"""What runs in workers that are asked and restarted. Light: workers import it."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # as `typing` has it
if TYPE_CHECKING:
    from typing import Any

    from workpool import WorkerClient


def listen(client: WorkerClient) -> None:
    """Register the handlers of requests; a start hook."""
    client.on_message("double", lambda content, _: 2 * content)
    client.on_message("fail", fail)
    client.on_message("lock", unpicklable)
    client.on_message("die", lambda *_: os._exit(3))
    client.on_message("environment", lambda name, _: os.environ.get(name))
    client.on_message("arguments", lambda _, client: client.start_arguments)
    client.on_message("later", later)


def listen_or_die(client: WorkerClient) -> None:
    """As `listen`, but a worker whose start arguments say so dies."""
    if client.start_arguments == "die":
        os._exit(9)
    if client.start_arguments == "raise":
        raise LookupError("start arguments")
    listen(client)


def fail(content: Any, _: WorkerClient) -> None:
    raise LookupError(content)


def unpicklable(*_: Any) -> Any:
    import threading

    return threading.Lock()


async def later(content: Any, _: WorkerClient) -> Any:
    import asyncio

    await asyncio.sleep(0)
    return [content]


class OneWay:
    """Can be pickled, and not be unpickled."""

    def __reduce__(self) -> Any:
        return int, ("no number",)
