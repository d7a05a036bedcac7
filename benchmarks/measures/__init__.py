"""What is measured: each measure is a module with one function `measure`."""

from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

from benchmarks.contestants.base import Contestant
from benchmarks.figures import Figures
from benchmarks.settings import Settings


class MeasureFunction(Protocol):
    """Measures one contestant once, in a process that does nothing else."""

    def __call__(self, contestant: Contestant, settings: Settings) -> Figures:
        """Open the contestant, measure, close it; raise AssertionError on a wrong result."""
        ...


@dataclass(frozen=True, slots=True)
class Measure:
    """How a measure is found, and how often it is repeated."""

    title: str
    module: str
    most_rounds: int = 1_000
    """Fewer than the settings say for what takes long and varies little."""

    def load(self) -> MeasureFunction:
        """Import the function."""
        module = import_module(f"benchmarks.measures.{self.module}")
        return cast(MeasureFunction, module.measure)


MEASURES: dict[str, Measure] = {
    "rate": Measure("awaited no-op tasks", "rate"),
    "round-trip": Measure("round trip", "round_trip"),
    "skew": Measure("skewed work", "skew"),
    "first-result": Measure("first result", "first_result"),
    "bulk": Measure("bulk calls", "bulk", most_rounds=3),
    "payload": Measure("large arrays", "payload"),
    "shared": Measure("one array for many tasks", "shared", most_rounds=3),
    "backlog": Measure("tasks added at once", "backlog", most_rounds=3),
    "idle": Measure("idle pool", "idle", most_rounds=1),
    "crowd": Measure("idle pool of many workers", "crowd", most_rounds=1),
}
