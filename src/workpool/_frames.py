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

_TOKENS: dict[int, Struct] = {}
"""By how many numbers they pack, made when needed: all of them would cost every worker 2 ms of its start, and 3 MB."""


def pack_tokens(numbers: list[int]) -> bytes:
    """Pack up to `TOKENS_PER_WRITE` tokens: attempt, offset and length of each, in a row."""
    layout = _TOKENS.get(len(numbers))
    if layout is None:
        layout = _TOKENS[len(numbers)] = Struct("<" + "QII" * (len(numbers) // 3))
    return layout.pack(*numbers)


# An attempt number names one dispatch of one task: the task's id, then how often it has been
# dispatched. It is unique in a pool's life, so a late report can never be taken for another's.
DISPATCH_BITS = 12
DISPATCH_MASK = (1 << DISPATCH_BITS) - 1


def attempt_number(task_id: int, dispatches: int) -> int:
    """Return the number of the given dispatch of a task."""
    return task_id << DISPATCH_BITS | dispatches & DISPATCH_MASK


# A member of a batch has the batch's attempt number with its own place in the topmost bits.
_ITEM_BITS = 54
ITEM_STEP = 1 << _ITEM_BITS
_ATTEMPT_MASK = ITEM_STEP - 1


def item_attempt(attempt: int, index: int) -> int:
    """Return the attempt number of a member of a batch."""
    return attempt + (index + 1) * ITEM_STEP


def batch_attempt(attempt: int) -> tuple[int, int]:
    """Return the attempt number without the place in a batch, and that place: -1 if there is none."""
    return attempt & _ATTEMPT_MASK, (attempt >> _ITEM_BITS) - 1


def task_of_attempt(attempt: int) -> int:
    """Return the id of the task an attempt belongs to."""
    return attempt >> DISPATCH_BITS


# What the first byte of a task's record in the arena says (bits).
CANCELLED = 1
CONTEXT = 2  # the payload is (key, meta, argument), not the bare argument
BATCH = 8  # the payload is the arguments of many tasks, after a byte of flags for each
LAID_OUT = 16  # the payload is a pickle and its buffers, as in a parcel, but in the arena itself
PARCEL = 4  # the payload came as a descriptor, through the locker that the record names

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
PART = 11  # the outcomes of some members of a batch
LAST_PART = 12  # of the last ones, and how many have been begun

IN_PARCEL = 0x80
"""Added to the kind: the body is the number of a parcel, whose descriptor came on the worker's mail socket."""

ON_BELT = 0x40
"""Added to the kind: the body says where on the worker's belt the real one lies."""

_KINDS = frozenset(
    kind | way for kind in range(RESULT, LAST_PART + 1) for way in (0, IN_PARCEL, ON_BELT)
)

REPORT = Struct("<IBQd")
"""Length of the body, kind, attempt (0 where it does not apply), cost in seconds."""

MOST_REPORT_BODY = 4096 - REPORT.size
"""Bytes. Larger bodies go by the belt or as parcels, so that a report is one write of at most PIPE_BUF bytes, which the
kernel does whole or not at all: threads need no lock, and no signal can tear the stream."""

# Tags of mail.
MAIL_MESSAGE = b"m"
MAIL_TASK = b"t"
MAIL_CANCEL = b"c"
MAIL_STOP = b"s"
MAIL_LOOK_ROUND = b"l"
MAIL_FORGET = b"f"  # a shared object, by its tag
MAIL_GIVE_BACK = b"g"  # the memory of the belt


Report = tuple[int, int, float, bytes]
"""One report of a worker: kind, attempt, cost (seconds), body. A bare tuple: there may be hundreds
of thousands a second."""


def next_report(data: bytes, position: int) -> tuple[Report | None, int]:
    """Return the report at a position in a stretch of a report stream, and where it ends.

    None, and the same position, if there is only the beginning of one. Raises `InternalError` for
    something that is no report: when it is its turn, so what is decoded does not depend on where a stream
    was cut.
    """
    start = position + REPORT.size
    if start > len(data):
        return None, position
    length, kind, attempt, cost = REPORT.unpack_from(data, position)
    if length > MOST_REPORT_BODY or kind not in _KINDS:
        raise InternalError(
            f"something that is no report came from a worker: kind {kind}, {length} bytes. Probably "
            "a task wrote to a descriptor that it had not opened"
        )
    end = start + length
    if end > len(data):
        return None, position
    return (kind, attempt, cost, data[start:end]), end
