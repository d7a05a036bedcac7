"""What the user asked for, after the command line has been checked."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BUFFER_BYTES", "BUFFER_INPUTS", "MapOptions"]

# Enough to keep tens of workers busy through a turn of the event loop even if a task takes 10 us,
# and small enough that what waits costs a few megabytes.
BUFFER_INPUTS = 4096

# Long lines reach this bound before the count does.
BUFFER_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class MapOptions:
    """The parameters of one ``workpool map``."""

    spec: str
    arguments: tuple[str, ...] = ()
    input_path: str | None = None
    json: bool = False
    null: bool = False
    unordered: bool = False
    keep_going: bool = False
    jobs: int | None = None
    timeout: float | None = None
    retries: int = 0
    buffer: int = BUFFER_INPUTS
