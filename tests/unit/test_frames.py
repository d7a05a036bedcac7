"""The wire formats: what is packed comes out again, wherever the stream was cut."""

from __future__ import annotations

import select
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workpool import InternalError, _frames

KINDS = st.builds(
    lambda kind, flag: kind | flag,
    st.integers(_frames.RESULT, _frames.EXITING),
    st.sampled_from([0, _frames.IN_PARCEL]),
)
REPORTS = st.lists(
    st.tuples(
        KINDS,
        st.integers(0, 2**64 - 1),
        st.floats(0, 1e9),
        st.binary(max_size=200) | st.just(b"x" * _frames.MOST_REPORT_BODY),
    ),
    max_size=10,
)


def stream_of(reports: list[tuple[int, int, float, bytes]]) -> bytes:
    parts = [
        _frames.REPORT.pack(len(body), kind, attempt, cost) + body
        for kind, attempt, cost, body in reports
    ]
    return b"".join(parts)


def split_reports(data: bytes) -> tuple[list[_frames.Report], bytes]:
    """Cut a stretch of a report stream into its whole reports and the rest."""
    reports: list[_frames.Report] = []
    position = 0
    while True:
        report, position = _frames.next_report(data, position)
        if report is None:
            return reports, data[position:]
        reports.append(report)


@given(REPORTS, st.lists(st.floats(0, 1), max_size=8))
def test_reports_survive_any_cuts(
    reports: list[tuple[int, int, float, bytes]], cuts: list[float]
) -> None:
    """A stream read in arbitrary pieces gives the reports that were written, in order."""
    stream = stream_of(reports)
    edges = sorted({0, len(stream), *(int(cut * len(stream)) for cut in cuts)})
    rest, got = b"", []
    for start, end in pairwise(edges):
        some, rest = split_reports(rest + stream[start:end])
        got += [tuple(report) for report in some]
    assert got == reports
    assert rest == b""


@given(REPORTS, st.integers(0, 300))
def test_an_incomplete_report_waits(
    reports: list[tuple[int, int, float, bytes]], missing: int
) -> None:
    """Of a truncated stream only the whole reports come out; the rest is what was left over."""
    stream = stream_of(reports)
    cut = stream[: max(0, len(stream) - missing)]
    whole, rest = split_reports(cut)
    assert [tuple(report) for report in whole] == reports[: len(whole)]
    assert stream_of(reports[: len(whole)]) + rest == cut


@pytest.mark.parametrize("kind", [0, _frames.LAST_PART + 1, 0x7F, _frames.IN_PARCEL, 0xFF])
def test_an_unknown_kind_is_named(kind: int) -> None:
    """The error of a torn stream says which kind of report it met."""
    with pytest.raises(InternalError, match=f"kind {kind},"):
        split_reports(_frames.REPORT.pack(0, kind, 1, 0.0))


@pytest.mark.parametrize("length", [_frames.MOST_REPORT_BODY + 1, 1 << 20, (1 << 32) - 1])
def test_a_body_that_no_report_can_have_is_not_waited_for(length: int) -> None:
    """A length above what one write carries is an error as soon as it is read."""
    with pytest.raises(InternalError, match=f"{length} bytes"):
        split_reports(_frames.REPORT.pack(length, _frames.RESULT, 1, 0.0))


def test_a_report_is_one_write_at_most() -> None:
    """The largest report fills what a pipe takes all or nothing, and is decoded."""
    assert _frames.REPORT.size + _frames.MOST_REPORT_BODY == select.PIPE_BUF
    report = (_frames.RESULT, 7, 0.5, b"x" * _frames.MOST_REPORT_BODY)
    assert split_reports(stream_of([report])) == ([report], b"")


@given(st.integers(1, 2**52 - 1), st.integers(0, 5000))
def test_an_attempt_number_leads_back_to_its_task(task: int, dispatches: int) -> None:
    """The id can be read from every attempt number, and it fits into a token."""
    attempt = _frames.attempt_number(task, dispatches)
    assert _frames.task_of_attempt(attempt) == task
    assert _frames.TOKEN.unpack(_frames.TOKEN.pack(attempt, 1, 2)) == (attempt, 1, 2)


@given(st.integers(1, 10**9), st.integers(1, 4000), st.integers(1, 4000))
def test_two_dispatches_of_a_task_are_never_mistaken(task: int, one: int, other: int) -> None:
    """Different dispatches have different numbers, and no neighbouring task has any of them."""
    numbers = {_frames.attempt_number(task, count) for count in (one, other)}
    assert len(numbers) == len({one, other})
    assert _frames.attempt_number(task + 1, other) not in numbers


def test_tokens_fill_pages_exactly() -> None:
    """A token never straddles two pages of a pipe, and a full write is all or nothing."""
    assert 4096 % _frames.TOKEN.size == 0
    assert _frames.TOKENS_PER_WRITE * _frames.TOKEN.size == 4096
