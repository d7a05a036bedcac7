"""A thread for joblib's callbacks, one for each call.

In its callbacks joblib reads the source for the next batch, waits for locks that the caller holds while
it reads the source itself, and prints. In the pool's own thread that would hold up the pool; and a
source that makes a call of its own would wait there for ever for that call's results.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue


class CallbackThread:
    """Calls functions one after the other, until it is told to end."""

    def __init__(self) -> None:
        self._functions: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        threading.Thread(target=self._run, name="workpool-joblib", daemon=True).start()

    def post(self, function: Callable[[], object]) -> None:
        """Have a function called. Any thread may do this."""
        self._functions.put(function)

    def end(self) -> None:
        """End when what was posted so far is done; do not wait for it."""
        self._functions.put(None)

    def _run(self) -> None:
        while (function := self._functions.get()) is not None:
            try:
                function()
            except BaseException:
                logging.getLogger("workpool").exception("a callback of joblib raised")
            del function  # or it would hold its results until the next one comes
