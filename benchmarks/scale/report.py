"""Tables and the chart of the sweeps, and where workpool's cost is not flat."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.charts.drawing import OURS as OURS_COLOUR
from benchmarks.charts.drawing import PEER
from benchmarks.charts.lines import Line, Plot, amount, draw
from benchmarks.contestants import ENTRIES, OURS
from benchmarks.figures import Figures
from benchmarks.report import table
from benchmarks.scale.sweeps import SWEEPS

SMALL_BYTES = 100_000
"""Up to here, copying costs little beside everything else (10 us at 10 GB/s)."""

Medians = Mapping[tuple[str, str, int], Figures]


def render(medians: Medians) -> str:
    """Return a table for each sweep, and how far from flat workpool is."""
    return "\n\n".join(part for sweep in SWEEPS if (part := _sweep(sweep, medians)))


def _sweep(sweep: str, medians: Medians) -> str:
    rows = [
        [
            amount(step),
            ENTRIES[contestant].title,
            f"{figures['tasks']:,.0f}",
            *(f"{figures[name]:,.1f}" for name in ("wall_us", "cpu_us", "parent_cpu_us")),
        ]
        for (of, contestant, step), figures in medians.items()
        if of == sweep
    ]
    if not rows:
        return ""
    headings = [SWEEPS[sweep].across, "", "tasks", "us per task", "processor us", "the parent's"]
    return f"{table(headings, rows)}\n\n{_flatness(sweep, medians)}"


def _flatness(sweep: str, medians: Medians) -> str:
    """Say in a sentence how much the dearest step costs beside the cheapest."""
    costs = dict(_costs(sweep, OURS, medians, "cpu_us"))
    if not costs:
        return ""
    cheapest, dearest = min(costs, key=costs.__getitem__), max(costs, key=costs.__getitem__)
    if sweep == "bytes":  # what must be copied costs by its size; flat is what comes before
        largest = max(costs)
        by_size = f" At {amount(largest)} it is {costs[largest] / largest * 1e6:.0f} us per MB."
        costs = {step: cost for step, cost in costs.items() if step <= SMALL_BYTES}
        cheapest, dearest = min(costs, key=costs.__getitem__), max(costs, key=costs.__getitem__)
    else:
        by_size = ""
    return (
        f"workpool, processor time: {costs[cheapest]:.1f} us at {amount(cheapest)}, "
        f"{costs[dearest]:.1f} us at {amount(dearest)}: {costs[dearest] / costs[cheapest]:.1f} x.{by_size}"
    )


def chart(described: dict[str, str], medians: Medians) -> str:
    """Return a plot for each sweep as one SVG sheet."""
    plots = []
    for name, sweep in SWEEPS.items():
        lines = [
            Line(ENTRIES[contestant].title, points, OURS_COLOUR if contestant == OURS else PEER)
            for contestant in reversed(sweep.steps)
            # A logarithmic axis has no place for nothing.
            if (points := [(max(1, x), y) for x, y in _costs(name, contestant, medians, "wall_us")])
        ]
        if lines:
            plots.append(Plot(sweep.title, sweep.across, "microseconds per task", lines))
    note = "Flat is ideal. " + "; ".join(described[part] for part in ("processor", "python"))
    return draw("What a task costs as things grow", note, plots)


def _costs(sweep: str, contestant: str, medians: Medians, figure: str) -> list[tuple[int, float]]:
    return sorted(
        (step, figures[figure])
        for (of, who, step), figures in medians.items()
        if (of, who) == (sweep, contestant)
    )
