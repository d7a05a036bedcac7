"""What a worker needs to know to set up its session."""

from __future__ import annotations

import pickle
from typing import Any, NamedTuple

_MAIN = b"__main__"


class WorkerSettings(NamedTuple):
    """The run, as the controller was asked for it."""

    arguments: list[str]
    plugins: list[str]
    """Names of plugins that were given to `pytest.main`."""
    directory: str
    argv: list[str]
    worker_count: int
    run_id: str
    base_temp: str
    """Below which each worker makes its own directory for temporary files; empty for pytest's choice."""
    color: str
    timeout: float | None
    environment: tuple[dict[str, str], list[str]]
    """Variables that were set, and those that were deleted, since the workers were started."""
    worker_input: dict[str, Any]
    """What plugins have for this worker: its ``config.workerinput``."""

    def packed(self) -> Any:
        """Return what to give to a worker.

        As bytes: the pool takes "__main__" in a pickle, which is also the end of a path here, for something
        that needs other means, whose import takes as long as the rest of what is done before the first test.
        """
        try:
            if _MAIN not in pickle.dumps(self.worker_input):
                return pickle.dumps(tuple(self))
        except Exception:  # noqa: BLE001 - the pool has a way for it, or says what is wrong
            pass
        return tuple(self)

    @classmethod
    def unpacked(cls, given: Any) -> WorkerSettings:
        """Return what was packed."""
        return cls(*(pickle.loads(given) if given.__class__ is bytes else given))
