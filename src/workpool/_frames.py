"""The wire formats between the pool and its workers: tokens, reports and mail.

Pure: bytes in, bytes out. Three formats, one per direction and kernel object:

token     pool -> any worker, through a slot's queue (a pipe). 16 bytes: the attempt, and where
          its payload lies in the arena. A pipe hands out whole tokens: all writes and reads are
          multiples of 16 and a write of up to PIPE_BUF bytes is atomic.
report    worker -> pool, through the worker's report pipe: results, messages, log records.
mail      pool -> one worker, one datagram each: a tag byte and a body.
"""

from __future__ import annotations

from struct import Struct

from workpool.errors import InternalError

TOKEN = Struct("<QII")
"""Attempt (64 bits), offset in the arena, length there."""

TOKENS_PER_WRITE = 4096 // TOKEN.size
"""As many tokens as one write to a pipe takes all or nothing (Linux's PIPE_BUF)."""

# An attempt number names one dispatch of one task: the task's id, then how often it has been
# dispatched. It is unique in a pool's life, so a late report can never be taken for another's.
_DISPATCH_BITS = 12
_DISPATCH_MASK = (1 << _DISPATCH_BITS) - 1


def attempt_number(task_id: int, dispatches: int) -> int:
    """Return the number of the given dispatch of a task."""
    return task_id << _DISPATCH_BITS | dispatches & _DISPATCH_MASK


def task_of_attempt(attempt: int) -> int:
    """Return the id of the task an attempt belongs to."""
    return attempt >> _DISPATCH_BITS


# What the first byte of a task's record in the arena says (bits).
CANCELLED = 1
CONTEXT = 2  # the payload is (key, meta, argument), not the bare argument
PARCEL = 4  # the payload came as a descriptor, through the locker that the record names

PARCEL_RECORD_BYTES = 5
"""The record of a task whose payload is a parcel: flags, the locker's number (32 bits)."""

# Kinds of report.
RESULT = 1
NOTHING = 2  # the result None, without a body
ERROR = 3
SKIPPED = 4  # the task was cancelled before it began
PRE_TASK_COST = 5  # precedes the outcome of the same attempt
MESSAGE = 6
LOG = 7
READY = 8
START_FAILED = 9
EXITING = 10
_KINDS = range(RESULT, EXITING + 1)

IN_PARCEL = 0x80
"""Added to the kind: the body is the number of a parcel, whose descriptor came on the worker's mail socket."""

REPORT = Struct("<IBQd")
"""Length of the body, kind, attempt (0 where it does not apply), cost in seconds."""

MOST_REPORT_BODY = 4096 - REPORT.size
"""Bytes. Larger bodies go as parcels, so that a report is one write of at most PIPE_BUF bytes, which the
kernel does whole or not at all: threads need no lock, and no signal can tear the stream."""

# Tags of mail.
MAIL_MESSAGE = b"m"
MAIL_TASK = b"t"
MAIL_CANCEL = b"c"
MAIL_STOP = b"s"
MAIL_LOOK_ROUND = b"l"


Report = tuple[int, int, float, bytes]
"""One report of a worker: kind, attempt, cost (seconds), body. A bare tuple: there may be hundreds
of thousands a second."""


def split_reports(data: bytes) -> tuple[list[Report], bytes]:
    """Cut a stretch of a report stream into its whole reports and the rest.

    The rest is an incomplete report, or begins with something that is none. Raises `InternalError`
    when it is that with which `data` begins: what was reported before it comes out first, so what
    is decoded does not depend on where a stream was cut.
    """
    reports: list[Report] = []
    append, unpack, header = reports.append, REPORT.unpack_from, REPORT.size
    position, size = 0, len(data)
    while position + header <= size:
        length, kind, attempt, cost = unpack(data, position)
        if length > MOST_REPORT_BODY or kind & ~IN_PARCEL not in _KINDS:
            if reports:
                break
            raise InternalError(
                f"something that is no report came from a worker: kind {kind}, {length} bytes. Probably "
                "a task wrote to a descriptor that it had not opened"
            )
        end = position + header + length
        if end > size:
            break
        append((kind, attempt, cost, data[position + header : end]))
        position = end
    return reports, data[position:]
