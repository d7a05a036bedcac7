"""How much is measured: the full form and the quick one."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Sizes and times of one run; all times in seconds."""

    rounds: int = 5
    """Rounds of every measure whose figures vary from round to round."""
    costly_rounds: int = 1
    """Rounds of those that take long and vary little: idle pools and the backlog."""
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
    deadline: float = 60.0
    """Longest time for one measurement of one contestant, in a process of its own."""


FULL = Settings()
QUICK = Settings(
    rounds=2,
    burst_seconds=0.4,
    round_trip_seconds=0.4,
    idle_seconds=2.0,
    settle_seconds=0.5,
    backlog=300_000,
    peer_backlog=20_000,
)
