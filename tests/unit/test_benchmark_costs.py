"""The benchmark's accounts of costs: traces and clocks, read."""

from __future__ import annotations

import pytest

from benchmarks.costs.processor import Snapshot
from benchmarks.costs.system_calls import count, per_task
from benchmarks.costs.workload import BEGIN, END
from benchmarks.figures import Figures
from benchmarks.scale.report import chart, render

TRACE = f"""\
10 read(3, "", 8) = 8
10 access("{BEGIN}", F_OK) = -1 ENOENT (No such file or directory)
10 write(5, "..", 16 <unfinished ...>
20 readv(6, [{{iov_base="..", iov_len=16}}], 1) = 16
10 <... write resumed>) = 16
20 write(7, "..", 24) = 24
30 futex(0x7f, FUTEX_WAKE_PRIVATE, 1) = 0
20 readv(6, 0x7f, 1) = -1 EAGAIN (Resource temporarily unavailable)
20 --- SIGCONT {{si_signo=SIGCONT}} ---
10 access("{END}", F_OK) = -1 ENOENT (No such file or directory)
10 read(3, "", 8) = 8
"""


def test_calls_between_the_marks_are_counted_by_who_made_them() -> None:
    """Each once, though its line may be split; not the marks, and not threads of nobody's."""
    counts = count(TRACE.splitlines(), {10: "pool", 20: "workers"})
    assert counts == {"pool": {"write": 1}, "workers": {"readv": 2, "write": 1}}
    assert per_task(counts, 2) == [
        ["pool", "0.50", "write 0.50"],
        ["workers", "1.50", "readv 1.00, write 0.50"],
    ]


def test_time_between_two_moments_is_told_by_part() -> None:
    """Pool and workers, in the kernel and outside."""
    before = Snapshot({"pool": 1.0, "pool, kernel": 0.5})
    spent = before.until(Snapshot({"pool": 1.5, "pool, kernel": 0.75}))
    assert spent == {"pool": pytest.approx(0.5), "pool, kernel": pytest.approx(0.25)}
    assert set(Snapshot.take([]).seconds) >= set(spent)


def test_the_sweeps_report_says_how_far_from_flat_it_is() -> None:
    """In processor time, with the steps that are cheapest and dearest; bytes that are copied apart."""

    def figures(cpu: float) -> Figures:
        return {"tasks": 10, "wall_us": 2 * cpu, "cpu_us": cpu, "parent_cpu_us": cpu / 2}

    medians = {
        ("workers", "workpool", 1): figures(20.0),
        ("workers", "workpool", 64): figures(50.0),
        ("workers", "executor-asyncio", 1): figures(500.0),
        ("bytes", "workpool", 0): figures(20.0),
        ("bytes", "workpool", 1_000): figures(30.0),
        ("bytes", "workpool", 64_000_000): figures(6_400.0),
    }
    text = render(medians)
    assert "20.0 us at 1, 50.0 us at 64: 2.5 x" in text
    assert "20.0 us at 0, 30.0 us at 1k: 1.5 x. At 64M it is 100 us per MB." in text
    assert "Workers" in chart({"processor": "any", "python": "any"}, medians)
