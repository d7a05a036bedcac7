"""From bytes to inputs: cut, decode, parse. Nothing here reads or waits."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple, NoReturn

from workpool.cli._errors import InputError

__all__ = ["RECORD_LIMIT", "Record", "Splitter", "parse_records", "parse_texts"]

# One record must fit into memory several times over (its bytes, its text, its pickle), so an
# endless stream that never has a separator has to be noticed early.
RECORD_LIMIT = 64 * 1024 * 1024


class Record(NamedTuple):
    """One input: what the entrypoint gets, or why there is nothing to give it."""

    name: str
    """How messages call it: ``line 3``, ``argument 1``."""

    value: object
    """The entrypoint's argument; the text as it stood if it could not be parsed."""

    size: int
    """Bytes, or characters: what it weighs in the bounded buffer."""

    problem: str | None = None
    """Why the text is not an input, else None."""


class Splitter:
    """Cut a stream of bytes at a separator, in time linear in the stream's length.

    A record that spans many chunks is kept as the list of its pieces and joined once: joining at
    every chunk would make a line of n bytes cost n squared.
    """

    def __init__(self, separator: bytes, limit: int = RECORD_LIMIT) -> None:
        self._separator = separator
        self._limit = limit
        self._pieces: list[bytes] = []
        self._pending = 0
        self._records = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the stream's next bytes and return the records they complete.

        Raises InputError once a record is longer than the limit.
        """
        first, *others = chunk.split(self._separator)
        self._keep(first)
        if not others:
            return []
        complete = [b"".join(self._pieces), *others[:-1]]
        self._records += len(complete)
        self._pieces, self._pending = [], 0
        self._keep(others[-1])
        return complete

    def end(self) -> list[bytes]:
        """Return what follows the last separator, if anything does."""
        rest = b"".join(self._pieces)
        self._pieces, self._pending = [], 0
        return [rest] if rest else []

    def _keep(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._pending += len(piece)
        if self._pending > self._limit:
            separator = "NUL" if self._separator == b"\0" else "newline"
            raise InputError(
                f"input {self._records + 1} is longer than {self._limit >> 20} MB without a "
                f"{separator}: is this the right separator (--null) or the right input?"
            )


def parse_records(
    raw: Iterable[bytes], first: int, *, noun: str, as_json: bool
) -> tuple[list[Record], int]:
    """Parse records as they were cut; return the inputs and the number of the next record.

    What is not UTF-8 becomes surrogate escapes, the way Python represents file names, so that
    ``open()`` finds the file. With `as_json`, blank records are no inputs, but they are counted.
    """
    texts = [record.decode("utf-8", "surrogateescape") for record in raw]
    return parse_texts(texts, first, noun=noun, as_json=as_json), first + len(texts)


def parse_texts(texts: Sequence[str], first: int, *, noun: str, as_json: bool) -> list[Record]:
    """Make an input of each text; the first is number `first`."""
    numbered = enumerate(texts, first)
    if not as_json:
        return [Record(f"{noun} {number}", text, len(text)) for number, text in numbered]
    return [_from_json(f"{noun} {number}", text) for number, text in numbered if text.strip()]


def _from_json(name: str, text: str) -> Record:
    try:
        value = json.loads(text, parse_constant=_reject_constant)
    except json.JSONDecodeError as error:
        problem = f"{error.msg} at character {error.pos + 1}"
    except (ValueError, RecursionError) as error:
        problem = str(error)
    else:
        return Record(name, value, len(text))
    return Record(name, text, len(text), f"{name} is not JSON: {problem}")


def _reject_constant(constant: str) -> NoReturn:
    """Refuse NaN and the infinities: Python reads them, no other JSON tool does."""
    raise ValueError(f"{constant} is not a JSON value")
