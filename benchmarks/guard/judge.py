"""Measure all pairs and hold each ratio against the reference."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.guard.pairs import PAIRS, WALL_ONLY
from benchmarks.report import table
from benchmarks.runner import run_session

REFERENCE = Path(__file__).parent / "reference.json"
PAIR_SECONDS = 1.2
DEADLINE = 120.0
"""For one pair; a machine may be busy, but this one hangs."""
FALLEN = 0.55
"""Of the reference. Half as fast is 0.5 of it, and a little less or more by chance; what is as fast as
ever was never seen below 0.75, on a machine with eight programs to each core."""
FALLEN_WHEN_BUSY = 0.25
"""The same for wall time where others want the processors too: then processor time tells what has
become slow, and wall time only what waits where it should not."""
BUSY = 0.1
"""Part of the machine that others use."""
TRIES = 3
"""Measurements of a pair before a ratio that has fallen counts: chance does not strike that often."""

Ratios = dict[str, float]
"""How many times as fast as the other, by "pair, figure, clock"."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One ratio beside its reference; both are better when they are larger."""

    name: str
    ratio: float
    reference: float | None
    bound: float = FALLEN

    @property
    def has_fallen(self) -> bool:
        """Whether it is so far below the reference that chance is no explanation."""
        return self.reference is not None and self.ratio < self.bound * self.reference


Measure = Callable[[str], tuple[Ratios, float]]
"""Measures a pair; tells its ratios and the part of the machine that others used."""


def compare(ratios: Ratios, reference: Ratios, others: float = 0.0) -> list[Comparison]:
    """Hold ratios against the reference; wall times less strictly where others were busy."""

    def bound(name: str) -> float:
        return FALLEN_WHEN_BUSY if name.endswith("wall") and others > BUSY else FALLEN

    return [
        Comparison(name, ratio, reference.get(name), bound(name)) for name, ratio in ratios.items()
    ]


def check(measure: Measure, reference: Ratios) -> list[Comparison]:
    """Measure every pair, those that seem to have fallen again; keep the best try of each."""
    return [each for pair in PAIRS for each in _check_pair(pair, measure, reference)]


def _check_pair(pair: str, measure: Measure, reference: Ratios) -> list[Comparison]:
    best: dict[str, Comparison] = {}
    for _ in range(TRIES):
        ratios, others = measure(pair)
        for found in compare(ratios, reference, others):
            known = best.get(found.name, found)
            best[found.name] = max(found, known, key=lambda each: each.ratio / each.bound)
        if not any(each.has_fallen for each in best.values()):
            break
    return list(best.values())


def make_reference(measure: Measure) -> tuple[Ratios, float]:
    """Measure every pair several times; return the least of each ratio, and how busy others were.

    The least, because the check keeps the best of as many tries: what is as fast as now passes.
    """
    found = [measure(pair) for pair in PAIRS for _ in range(TRIES)]
    least: Ratios = {}
    for ratios, _ in found:
        for name, ratio in ratios.items():
            least[name] = min(ratio, least.get(name, ratio))
    return least, max(others for _, others in found)


def measure_pair(pair: str) -> tuple[Ratios, float]:
    """Measure one pair in a process of its own.

    Raises `RuntimeError`, with what it wrote, if it fails or hangs.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        result, errors = Path(folder, "result"), Path(folder, "errors")
        command = [sys.executable, "-m", "benchmarks.guard.child", pair]
        status = run_session([*command, str(PAIR_SECONDS), str(result)], errors, DEADLINE)
        if status != 0:
            how = "hung" if status is None else f"failed with exit status {status}"
            raise RuntimeError(f"measuring {pair!r} {how}:\n{errors.read_text(errors='replace')}")
        figures, others = json.loads(result.read_text())
    ratios = {
        f"{pair}, {figure}, {clock}": ratio
        for figure, clocks in figures.items()
        for clock, ratio in clocks.items()
        if clock == "wall" or figure not in WALL_ONLY
    }
    return ratios, others


def read_reference(path: Path = REFERENCE) -> Ratios:
    """Return the committed ratios."""
    ratios: Ratios = json.loads(path.read_text())["ratios"]
    return ratios


def write_reference(described: dict[str, str], ratios: Ratios, path: Path = REFERENCE) -> None:
    """Make these ratios the reference."""
    rounded = {name: float(f"{ratio:.3g}") for name, ratio in ratios.items()}
    path.write_text(json.dumps({"machine": described, "ratios": rounded}, indent=2) + "\n")


def render(compared: Iterable[Comparison]) -> str:
    """Return the table of all ratios and one line that says what follows from them."""
    found = list(compared)
    rows = [_row(each) for each in found]
    fallen = sum(each.has_fallen for each in found)
    verdict = f"{fallen} of {len(found)} ratios have" if fallen else "no ratio has"
    headings = ["times as fast as the other", "now", "reference", "of it", "at least", ""]
    return f"{table(headings, rows)}\n\n{verdict} fallen"


def _row(each: Comparison) -> list[str]:
    if each.reference is None:
        return [each.name, f"{each.ratio:.3g}", "-", "-", "-", "new"]
    share = each.ratio / each.reference
    verdict = "FALLEN" if each.has_fallen else "ok"
    numbers = [f"{each.ratio:.3g}", f"{each.reference:.3g}", f"{share:.2f}", f"{each.bound:.2f}"]
    return [each.name, *numbers, verdict]
