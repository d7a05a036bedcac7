"""The measures of `benchmarks.reliability` in a short form: what must never happen does not.

Times are not looked at here; the full form does that, on a machine that does nothing else.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.reliability import deaths, orphans, payloads, races, restarts
from benchmarks.reliability.finding import FAILED, NOT_MEASURED, Finding
from benchmarks.reliability.orphan_parent import OCCASIONS
from benchmarks.reliability.settings import QUICK

pytestmark = pytest.mark.once

SHORT = replace(
    QUICK,
    deaths=8,
    races=200,
    stubborn_races=30,
    restarts=25,
    restarts_before=10,
    parents=len(OCCASIONS),
    parents_at_once=8,
    orphan_seconds=20.0,
    payload_sizes=(0, 3_000_001),
)
"""About seven seconds in all."""


def faults(findings: list[Finding]) -> list[Finding]:
    """Return what missed its goal or could not be measured."""
    assert findings
    return [finding for finding in findings if finding.verdict in (FAILED, NOT_MEASURED)]


@pytest.mark.deadline(60)
def test_dead_workers_are_noticed_and_replaced() -> None:
    """Each victim fails as crashed, and the task that waited behind it is done by a successor."""
    assert len(deaths.measure(SHORT)) == 6


@pytest.mark.deadline(60)
def test_tasks_that_end_as_they_are_ended() -> None:
    """No neighbour suffers, nothing stale is delivered, nobody hangs; sync, async and stubborn."""
    assert faults(races.measure(SHORT)) == []


@pytest.mark.deadline(60)
def test_restarts_leave_nothing_behind() -> None:
    """Descriptors, memfds, children, zombies and threads are as many as before, memory nearly."""
    assert faults(restarts.measure(SHORT)) == []


@pytest.mark.deadline(60)
def test_nobody_survives_a_killed_parent() -> None:
    """Idle, busy, deaf, starting or at their end: the workers are gone."""
    assert faults(orphans.measure(SHORT)) == []


@pytest.mark.deadline(60)
def test_payloads_arrive_as_they_were_sent() -> None:
    """Bytes, bytearrays and out-of-band buffers, there and back; the pool lives after each."""
    assert faults(payloads.measure(SHORT)) == []
