"""Cutting a stream into inputs, for the command line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workpool.cli._errors import InputError
from workpool.cli._records import Splitter, parse_records, parse_texts


def split(chunks: list[bytes], separator: bytes = b"\n", limit: int = 1000) -> list[bytes]:
    splitter = Splitter(separator, limit)
    records = [record for chunk in chunks for record in splitter.feed(chunk)]
    return records + splitter.end()


@given(st.lists(st.text("ab\n", max_size=8).map(str.encode)))
def test_where_chunks_end_does_not_matter(chunks: list[bytes]) -> None:
    """The records are those of the whole stream, however it arrives."""
    stream = b"".join(chunks)
    whole = stream.split(b"\n")
    assert split(chunks) == (whole if whole[-1] else whole[:-1])


@pytest.mark.parametrize(
    ("stream", "records"),
    [
        (b"", []),
        (b"a", [b"a"]),
        (b"a\n", [b"a"]),
        (b"\n", [b""]),
        (b"a\n\nb", [b"a", b"", b"b"]),
        (b"a\r\n", [b"a\r"]),
    ],
)
def test_a_last_line_needs_no_newline_and_empty_lines_count(
    stream: bytes, records: list[bytes]
) -> None:
    """Only the newline is taken off, and it ends a line rather than beginning one."""
    assert split([stream]) == records


def test_nul_separated_records_may_hold_newlines() -> None:
    """With NUL as separator every possible file name is one record."""
    assert split([b"a\nb\0", b"c"], b"\0") == [b"a\nb", b"c"]


def test_a_stream_without_separators_is_refused_before_it_fills_the_memory() -> None:
    """A record beyond the limit is an error that says which one and why perhaps."""
    splitter = Splitter(b"\n", limit=1 << 20)
    splitter.feed(b"first\n")
    with pytest.raises(InputError, match=r"input 2 is longer than 1 MB .* \(--null\)"):
        for _ in range(3):
            splitter.feed(b"x" * (1 << 19))


def test_bytes_that_are_not_utf8_survive_as_python_file_names_do() -> None:
    """`os.fsencode` of the input gives the bytes that were read."""
    records, _ = parse_records([b"caf\xe9"], 1, noun="line", as_json=False)
    assert records[0].value == b"caf\xe9".decode("utf-8", "surrogateescape")


def test_json_inputs_become_values_and_blank_ones_are_skipped_but_counted() -> None:
    """Names go by position in the stream, so that an editor finds the line."""
    records, following = parse_records([b'{"a": 1}', b" ", b"2"], 5, noun="line", as_json=True)
    assert [(record.name, record.value) for record in records] == [
        ("line 5", {"a": 1}),
        ("line 7", 2),
    ]
    assert following == 8


@pytest.mark.parametrize("text", ["{", "NaN", "[1,]", "nope", "[" * 100_000, "9" * 5000])
def test_what_is_not_json_is_told_with_its_place(text: str) -> None:
    """A bad input is a record with a problem, not an exception: others may follow it."""
    [record] = parse_texts([text], 3, noun="argument", as_json=True)
    assert record.problem is not None
    assert record.problem.startswith("argument 3 is not JSON: ")
    assert record.value == text
