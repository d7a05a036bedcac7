"""How much is measured: the full form and the short one."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Sizes and times of one run; all times in seconds."""

    rounds: int = 5
    """Rounds of every measure whose figures vary from round to round."""
    workers: int = 2
    burst_seconds: float = 1.0
    """About how long a burst of tasks takes; slow pools get fewer tasks, all show a rate."""
    round_trip_seconds: float = 1.0
    round_trips: int = 5_000
    idle_seconds: float = 5.0
    settle_seconds: float = 1.0
    """Wait before an idle pool is watched, so that what its start left to do is not counted."""
    crowd: int = 64
    backlog: int = 1_000_000
    peer_backlog: int = 50_000
    """Tasks added at once to the peers, which would need minutes for a million."""
    payload_mb: int = 64
    """Size of the array that is sent there and back, in units of 1,000,000 bytes."""
    payload_seconds: float = 0.8
    """Time for each of the three ways in which it is sent."""
    shared_mb: int = 256
    shared_tasks: int = 100
    shared_seconds: float = 5.0
    """Slow pools get fewer tasks that share an array, as many as they do in about this time."""
    deadline: float = 90.0
    """Longest time for one measurement of one contestant, in a process of its own."""


FULL = Settings()
SHORT = Settings(
    rounds=2,
    burst_seconds=0.4,
    round_trip_seconds=0.4,
    idle_seconds=2.0,
    settle_seconds=0.5,
    backlog=300_000,
    peer_backlog=20_000,
    payload_seconds=0.3,
    shared_seconds=1.0,
)
