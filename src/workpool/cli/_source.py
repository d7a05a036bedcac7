"""Where the inputs come from: the command's arguments, a file, or standard input."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass

from workpool.cli._descriptors import ChunkReader
from workpool.cli._errors import InputError, UsageError, reason
from workpool.cli._options import MapOptions
from workpool.cli._records import Record, Splitter, parse_records, parse_texts

__all__ = ["Source", "open_source"]

_ARGUMENTS_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Source:
    """The inputs of a job, in batches, so that the loop is entered once per chunk, not per line."""

    batches: AsyncIterator[list[Record]]
    total: int | None
    """How many there are, where that is known before they are read."""

    from_terminal: bool = False
    """Whether somebody types them."""


def open_source(options: MapOptions) -> Source:
    """Open what the options name. Raises UsageError if it cannot be opened."""
    if options.arguments:
        return Source(_from_arguments(options), len(options.arguments))
    if options.input_path is not None:
        name = f"the input file {options.input_path!r}"
        descriptor = _open_file(options.input_path, name)
    else:
        name = "standard input"
        descriptor = _take_standard_input()
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UsageError(f"cannot read {name}: it is a directory")
    return Source(_from_descriptor(descriptor, name, options), None, os.isatty(descriptor))


async def _from_arguments(options: MapOptions) -> AsyncIterator[list[Record]]:
    for first in range(0, len(options.arguments), _ARGUMENTS_AT_ONCE):
        texts = options.arguments[first : first + _ARGUMENTS_AT_ONCE]
        yield parse_texts(texts, first + 1, noun="argument", as_json=options.json)


async def _from_descriptor(
    descriptor: int, name: str, options: MapOptions
) -> AsyncIterator[list[Record]]:
    splitter = Splitter(b"\0" if options.null else b"\n")
    noun = "record" if options.null else "line"
    number = 1
    with closing(ChunkReader(descriptor)) as reader:
        while True:
            try:
                chunk = await reader.read()
            except OSError as error:
                raise InputError(f"cannot read {name}: {reason(error)}") from None
            raw = splitter.feed(chunk) if chunk else splitter.end()
            records, number = parse_records(raw, number, noun=noun, as_json=options.json)
            yield records
            if not chunk:
                return


def _open_file(path: str, name: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"cannot read {name}: {reason(error)}") from None


def _take_standard_input() -> int:
    """Move standard input out of the reach of everything that is started from here on."""
    if sys.stdin is None:  # what has the number 0 now is something else
        raise UsageError("cannot read standard input: it is closed")
    descriptor = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return descriptor
