"""What a worker needs to know to set up its session."""

from __future__ import annotations

from typing import Any, NamedTuple


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
