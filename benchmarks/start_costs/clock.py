"""Times across processes: the monotonic clock is one for the whole machine."""

from __future__ import annotations

import os
import select
import struct
from collections.abc import Mapping, Sequence
from time import monotonic

from workpool._system.process import Process

_STAMP = struct.Struct("<d")

STAMP = "import time as t, _struct as s, posix as p; p.write(1, s.pack('<d', t.monotonic()))"
"""What a program runs to say when it came to this point; imports nothing an interpreter has not got."""

DEADLINE = 30.0


def until_stamp(command: Sequence[str], environment: Mapping[str, str]) -> tuple[float, float]:
    """Start a program; return the seconds the start took here, and those until it wrote its stamp."""
    read_end, write_end = os.pipe()
    try:
        start = monotonic()
        process = Process(command, descriptors=[], environment=environment, stdout=write_end)
        ours = monotonic() - start
        if not select.select([read_end], [], [], DEADLINE)[0]:
            raise TimeoutError(f"{command[:4]} said nothing for {DEADLINE:g} s")
        [stamp] = _STAMP.unpack(os.read(read_end, _STAMP.size))
        process.reap(wait=True)
        process.close()
    finally:
        os.close(read_end)
        os.close(write_end)
    return ours, stamp - start
