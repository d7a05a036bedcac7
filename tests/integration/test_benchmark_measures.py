"""The benchmark's measures of large arrays, with small ones: they measure what they say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks import runner
from benchmarks.contestants import MEMORY_COPY, OURS
from benchmarks.measures import MEASURES
from benchmarks.settings import SHORT, Settings

pytestmark = pytest.mark.once

SMALL = replace(
    SHORT,
    rounds=1,
    payload_mb=1,
    payload_seconds=0.05,
    shared_mb=16,
    shared_tasks=10,
    shared_seconds=60.0,
    deadline=25.0,
)


def run_only(
    measure: str, name: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> dict[str, float]:
    monkeypatch.setattr(runner, "MEASURES", {measure: MEASURES[measure]})
    results = runner.run([name], settings, lambda text: None)
    assert results.failures == {}
    (figures,) = results.rounds[measure, name]
    return figures


def test_an_array_that_tasks_share_is_in_memory_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the measure can tell: what it counts is near one array, not none and not ten."""
    figures = run_only("shared", OURS, SMALL, monkeypatch)
    assert figures["tasks"] == SMALL.shared_tasks
    assert 0.3 < figures["copies"] < 1.8  # on a busy machine the one before is not quite gone


@pytest.mark.parametrize("name", [OURS, MEMORY_COPY])
def test_arrays_are_sent_in_every_way(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked at, given back and read, by a pool and by the floor."""
    figures = run_only("payload", name, SMALL, monkeypatch)
    assert set(figures) == {"ends_mb_per_s", "echo_mb_per_s", "sum_mb_per_s"}
    assert all(speed > 0 for speed in figures.values())
