"""Calling the user's hooks and handlers, which may be sync or async."""

from __future__ import annotations

import sys
from types import CoroutineType

from workpool._worker.client import WorkerClient
from workpool._worker.resolve import takes_client

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from typing import Any


class Caller:
    """Calls functions to their end, in one event loop per worker that is made when first needed."""

    def __init__(self, client: WorkerClient) -> None:
        self._client = client
        self._runner: asyncio.Runner | None = None

    @property
    def runner(self) -> asyncio.Runner:
        """The runner of the worker's event loop."""
        if self._runner is None:
            import asyncio

            self._runner = asyncio.Runner()
        return self._runner

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function; if it is async, run it to its end."""
        return self.finish(function(*args))

    def finish(self, result: Any) -> Any:
        """Run a coroutine to its end; return anything else as it is."""
        if not isinstance(result, CoroutineType):
            return result
        try:
            return self.runner.run(result)
        except BaseException:
            self._cancel_leftovers()
            raise

    def _cancel_leftovers(self) -> None:
        """End what an interruption has left in the event loop, or the next task would go on with it."""
        import asyncio

        loop = self.runner.get_loop()
        leftovers = asyncio.all_tasks(loop)
        for leftover in leftovers:
            leftover.cancel()
        if leftovers:
            loop.run_until_complete(asyncio.gather(*leftovers, return_exceptions=True))

    def close(self) -> None:
        """End the event loop, if there is one."""
        if self._runner is not None:
            self._runner.close()


def print_traceback() -> None:
    """Print the exception that is being handled; whether anybody reads that must not matter."""
    kind, error, traceback = sys.exc_info()
    if kind is not None and error is not None:
        # Not by the module of that name: it cannot be imported when descriptors have run out.
        sys.__excepthook__(kind, error, traceback)


def with_client(function: Callable[..., Any], client: WorkerClient) -> Callable[[Any], Any]:
    """Return `function` as one of the argument alone."""
    if not takes_client(function):
        return function
    return lambda argument: function(argument, client)
