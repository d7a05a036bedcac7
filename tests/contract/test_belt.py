"""The belt's contract: what was reported is whole until it was read, and the space comes back."""

from __future__ import annotations

import os
import random
from collections import deque
from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests import children
from tests.contract.programs import running
from workpool._system.belt import BELT_LIMIT, Belt, BeltReader
from workpool._system.memory import Bare, laid_out
from workpool._system.status_page import BELT_BYTES, BELT_READ, StatusPage, new_page
from workpool.errors import InternalError

SLOT = 1
SIZES = st.integers(1, 5000) | st.integers(1, BELT_LIMIT)


class Buffer:
    """As much of a `PickleBuffer` as is needed."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def raw(self) -> memoryview:
        return memoryview(self._content)


def content(number: int, size: int) -> bytes:
    return number.to_bytes(4, "little") * (size // 4 + 1)


class BeltMachine(RuleBasedStateMachine):
    """Lays, reports, reads and forgets to report, beside a list of what must be there."""

    @initialize()
    def start(self) -> None:
        self.page = new_page(3, 1)
        self.belt, self.reader = Belt(self.page, SLOT), BeltReader(self.page)
        self.reported: deque[tuple[bytes, bytes, bytes]] = deque()
        self.laid = 0

    @rule(size=SIZES, buffered=st.booleans(), is_reported=st.booleans())
    def lay(self, size: int, buffered: bool, is_reported: bool) -> None:
        self.laid += 1
        body = content(self.laid, size)
        buffer = content(self.laid, 700) if buffered else b""
        note = self.belt.lay(laid_out(body, [Buffer(buffer)] if buffered else []))
        if note is None:
            assert self.reported or self.laid > 1
        elif is_reported:
            self.reported.append((note, body, buffer))

    @precondition(lambda self: self.reported)
    @rule()
    def read(self) -> None:
        note, body, buffer = self.reported.popleft()
        data, buffers = self.reader.body(SLOT, note)
        assert data == body
        assert b"".join(buffers) == buffer
        data.release()
        self.reader.done(SLOT, note)

    @precondition(lambda self: self.reported)
    @rule()
    def read_all(self) -> None:
        while self.reported:
            self.read()
        self.belt.give_back()

    @rule()
    def space_comes_back(self) -> None:
        """After what is there was read there is room for the largest body, again and again."""
        while self.reported:
            self.read()
        for _ in range(6):
            self.lay(10, buffered=False, is_reported=True)
            while self.reported:
                self.read()
            self.lay(BELT_LIMIT, buffered=False, is_reported=True)
            assert self.reported, "the space of what was read is lost"

    def teardown(self) -> None:
        if hasattr(self, "page"):
            while self.reported:
                self.read()
            vars(self).pop("belt")._memory.release()
            self.page.close()


TestBelt = pytest.mark.once(BeltMachine.TestCase)
TestBelt.settings = settings(max_examples=20, stateful_step_count=12)
TestBelt.__doc__ = "No body is laid over one that was not read, and no space is lost."


@pytest.fixture
def page() -> Iterator[StatusPage]:
    made = new_page(3, 1)
    yield made
    made.close()


def test_a_full_belt_takes_nothing_and_recovers(page: StatusPage) -> None:
    """What is on it stays; each that is read makes room for another of its size."""
    belt, reader = Belt(page, SLOT), BeltReader(page)
    notes: deque[bytes] = deque()
    while (note := belt.lay(Bare(b"x" * BELT_LIMIT))) is not None:
        notes.append(note)
    assert len(notes) == BELT_BYTES // BELT_LIMIT
    for _ in range(20):
        assert belt.lay(Bare(b"y" * BELT_LIMIT)) is None
        reader.done(SLOT, notes.popleft())
        another = belt.lay(Bare(b"y" * BELT_LIMIT))
        assert another is not None
        notes.append(another)


def test_a_belt_that_is_always_full_mixes_nothing_up(page: StatusPage) -> None:
    """Thousands of bodies of all sizes, each read when there is no room for the next."""
    dice = random.Random(5)
    belt, reader = Belt(page, SLOT), BeltReader(page)
    waiting: deque[tuple[bytes, bytes]] = deque()
    for number in range(2500):
        body = bytes([number % 251]) * dice.choice([100, 20_000, 60_000, 300_000, BELT_LIMIT])
        while (note := belt.lay(Bare(body))) is None:
            expected, earlier = waiting.popleft()
            data, _ = reader.body(SLOT, earlier)
            assert bytes(data) == expected
            reader.done(SLOT, earlier)
        waiting.append((body, note))


def test_a_belt_with_nothing_on_it_begins_anew(page: StatusPage) -> None:
    """One result after the other takes the memory of one."""
    belt, reader = Belt(page, SLOT), BeltReader(page)
    before = os.fstat(page.descriptor).st_blocks
    for _ in range(200):
        note = belt.lay(Bare(b"x" * 100_000))
        assert note is not None
        reader.done(SLOT, note)
    assert (os.fstat(page.descriptor).st_blocks - before) * 512 < 200_000


def test_memory_is_given_back_only_when_nothing_is_on_it(page: StatusPage) -> None:
    """And what another slot has on its belt stays as it is."""
    belt, other, reader = Belt(page, SLOT), Belt(page, SLOT + 1), BeltReader(page)
    others = other.lay(Bare(b"o" * 100_000))
    note = belt.lay(Bare(b"x" * BELT_LIMIT))
    assert note is not None
    assert others is not None
    full = os.fstat(page.descriptor).st_blocks
    belt.give_back()
    assert bytes(reader.body(SLOT, note)[0]) == b"x" * BELT_LIMIT
    reader.done(SLOT, note)
    belt.give_back()
    assert full - os.fstat(page.descriptor).st_blocks >= BELT_LIMIT // 512
    assert bytes(reader.body(SLOT + 1, others)[0]) == b"o" * 100_000


def test_a_new_worker_begins_with_an_empty_belt(page: StatusPage) -> None:
    """Whatever its predecessor had on it, reported or not."""
    for number in range(20):
        page.clear(SLOT)
        belt, reader = Belt(page, SLOT), BeltReader(page)
        for _ in range(3):
            note = belt.lay(Bare(content(number, BELT_LIMIT)[:BELT_LIMIT]))
            assert note is not None
            last = note
        reader.done(SLOT, last)
        assert page.words[page.field(SLOT, BELT_READ)] > 0


def test_the_pool_sees_what_a_worker_lays(page: StatusPage) -> None:
    """Body and buffers are in memory that both have."""
    with running(children.lay_on_belt, page.descriptor, 3, SLOT, fds=[page.descriptor]) as worker:
        note = bytes.fromhex(worker.rest().decode())
    data, buffers = BeltReader(page).body(SLOT, note)
    assert (bytes(data), bytes(buffers[0])) == (b"pickle", b"b" * 20_000)


@pytest.mark.parametrize(
    "note",
    [
        b"",
        bytes(16),
        b"\xff" * 17,
        bytes(8) + b"\1\0\0\0" + (BELT_BYTES).to_bytes(4, "little") + b"\0",
    ],
)
def test_what_is_no_note_is_refused(page: StatusPage, note: bytes) -> None:
    """Something else is said to be on the belt, or outside of it."""
    with pytest.raises(InternalError):
        BeltReader(page).body(SLOT, note)
