"""How much is measured: the full form and the quick one."""

from dataclasses import dataclass

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Settings:
    """Numbers and times of one run; all times in seconds, all sizes in bytes."""

    deaths: int = 300
    """Workers that die, of each way to die."""
    races: int = 10_000
    stubborn_races: int = 2_000
    """Besides those: races with the kill, of tasks that swallow their interruption."""
    restarts: int = 1_000
    restarts_before: int = 100
    """Restarts before the first census, so that what Python sets up once is not counted."""
    parents: int = 100
    parents_at_once: int = 1
    orphan_seconds: float = 1.0
    """How long after its parent's end a worker may live."""
    payload_sizes: tuple[int, ...] = (0, 2 * GIB - 1, 2 * GIB, 4 * GIB + 1)
    all_large: bool = True
    """Whether payloads from a GiB on go in every form, not just in the one that takes least memory."""
    checks_times: bool = True
    """Whether goals in seconds count; they mean something on an idle machine only."""
    patience: float = 30.0
    """After so long without an end, what is waited for is hung."""
    seed: int = 1
    deadline: float = 2_400.0
    """Longest time for one measure, in a process of its own."""


FULL = Settings()
QUICK = Settings(
    deaths=40,
    races=1_500,
    stubborn_races=60,
    restarts=150,
    restarts_before=50,
    parents=26,
    parents_at_once=2,
    orphan_seconds=5.0,
    payload_sizes=(0, 3_000_001, 2 * GIB),
    all_large=False,
    checks_times=False,
    deadline=120.0,
)
