"""The arena's contract: records stay intact until they are freed, and space comes back."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from pickle import PickleBuffer

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests import children
from tests.contract.programs import running
from workpool._frames import CANCELLED, PARCEL
from workpool._long_pickle import LongPickle
from workpool._system.arena import (
    CHUNK_BYTES,
    LAYOUT_START,
    RECORD_LIMIT,
    SPAN_LIMIT,
    Arena,
    map_arena,
)
from workpool._system.memory import Bare, copy_parts, laid_out

CHUNKS = 4
SPAN_BYTES = 3 << 20
LARGE = st.integers(1, 20_000) | st.integers(RECORD_LIMIT, SPAN_LIMIT)
PAYLOADS = st.binary(max_size=100) | st.integers(0, RECORD_LIMIT - 1).map(lambda n: b"x" * n)


class ArenaMachine(RuleBasedStateMachine):
    """Writes and frees in any order, with a dict of what must be there as the model."""

    @initialize()
    def start(self) -> None:
        self.arena = Arena(CHUNKS, SPAN_BYTES)
        self.live: dict[int, bytes] = {}

    @rule(payload=PAYLOADS, flags=st.integers(0, 7))
    def write(self, payload: bytes, flags: int) -> None:
        offset = self.arena.write([bytes([flags]) + payload])
        if offset < 0:
            small = [record for at, record in self.live.items() if at < CHUNKS * CHUNK_BYTES]
            assert sum(map(len, small)) > CHUNK_BYTES // 2
            return
        record = bytes([flags]) + payload
        end = offset + len(record)
        assert offset // CHUNK_BYTES == (end - 1) // CHUNK_BYTES
        for other, content in self.live.items():
            assert end <= other or other + len(content) <= offset
        self.live[offset] = record

    @rule(size=LARGE, flags=st.integers(0, 7), in_pieces=st.booleans())
    def write_large(self, size: int, flags: int, in_pieces: bool) -> None:
        payload = len(self.live).to_bytes(2, "little") * (size // 2)
        pieces: list[bytes | bytearray] = [payload[: size // 3], payload[size // 3 :]]
        place = self.arena.write_large(flags, Bare(LongPickle(pieces) if in_pieces else payload))
        if place is None:
            large = sum(
                len(record) for at, record in self.live.items() if at >= CHUNKS * CHUNK_BYTES
            )
            assert large + size > SPAN_BYTES // 4
            return
        offset, length = place
        record = bytes([flags]) + payload
        assert length == len(record)
        for other, content in self.live.items():
            assert offset + length <= other or other + len(content) <= offset
        self.live[offset] = record

    @rule()
    def give_back(self) -> None:
        self.arena.give_back()

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def free(self, data: st.DataObject) -> None:
        offset = data.draw(st.sampled_from(sorted(self.live)))
        del self.live[offset]
        self.arena.free(offset)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def flag(self, data: st.DataObject) -> None:
        offset = data.draw(st.sampled_from(sorted(self.live)))
        self.arena.add_flag(offset, CANCELLED)
        record = self.live[offset]
        self.live[offset] = bytes([record[0] | CANCELLED]) + record[1:]

    @rule()
    def free_everything(self) -> None:
        self.arena.free_all(list(self.live))
        self.live.clear()
        large = [self.arena.write_large(0, Bare(bytes(SPAN_LIMIT - 1))) for _ in range(3)]
        assert None not in large, "the space of freed spans is lost"
        assert self.arena.write_large(0, Bare(b"x")) is None
        self.arena.free_all([place[0] for place in large if place])
        offsets = [self.arena.write([b"\0" + b"x" * (RECORD_LIMIT - 1)]) for _ in range(4 * CHUNKS)]
        assert min(offsets) >= 0, "the space of freed records is lost"
        assert self.arena.write([b"\0" + b"x" * (RECORD_LIMIT - 1)]) == -1
        for offset in offsets:
            self.arena.free(offset)

    @invariant()
    def every_record_is_intact(self) -> None:
        if hasattr(self, "arena"):
            assert self.arena.records == len(self.live)
            for offset, record in self.live.items():
                assert self.arena.memory[offset : offset + len(record)] == record

    def teardown(self) -> None:
        if hasattr(self, "arena"):
            self.arena.close()


TestArena = pytest.mark.once(ArenaMachine.TestCase)
TestArena.settings = settings(max_examples=60, stateful_step_count=40)
TestArena.__doc__ = "No record overlaps another or is changed, and no space is lost."


@pytest.fixture
def arena() -> Iterator[Arena]:
    made = Arena(CHUNKS)
    yield made
    made.close()


def test_one_long_task_holds_one_chunk(arena: Arena) -> None:
    """Thousands of short records pass by one that stays."""
    stays = arena.write([b"\0" + b"stays"])
    for _ in range(20_000):
        offset = arena.write([b"\0" + b"x" * 200])
        assert offset >= 0
        arena.free(offset)
    assert arena.memory[stays + 1 : stays + 6] == b"stays"


def test_memory_is_used_again_before_new_is_touched() -> None:
    """A pool whose tasks come and go stays in a few chunks of however large an arena."""
    arena = Arena(1000)
    try:
        offsets = set()
        for _ in range(5000):
            batch = [arena.write([b"\0" + b"x" * 1000]) for _ in range(100)]
            offsets.update(batch)
            for offset in batch:
                arena.free(offset)
        assert len({offset // CHUNK_BYTES for offset in offsets}) <= 3
    finally:
        arena.close()


def test_a_worker_sees_what_the_pool_writes(arena: Arena) -> None:
    """A mapping in another process shows the record."""
    offset = arena.write([bytes([PARCEL]) + b"payload"])
    with running(
        children.read_record, arena.descriptor, offset, 8, fds=[arena.descriptor]
    ) as reader:
        assert reader.rest() == bytes([PARCEL]) + b"payload"


def test_workers_cannot_write(arena: Arena) -> None:
    """A worker's mapping is read-only, and shows marks that are set later."""
    offset = arena.write([b"\0" + b"payload"])
    mapping: mmap.mmap = map_arena(arena.descriptor)
    with pytest.raises(TypeError):
        mapping[offset] = 1
    arena.add_flag(offset, CANCELLED)
    assert mapping[offset] == CANCELLED
    mapping.close()


def test_a_large_record_with_buffers_is_whole() -> None:
    """Pickle and buffers come out as they went in; the buffers are copies that can be written to."""
    arena = Arena(1, SPAN_BYTES)
    try:
        buffers = [PickleBuffer(bytearray(b"a" * 50_001)), PickleBuffer(b"b" * 70_000)]
        place = arena.write_large(CANCELLED, laid_out(b"pickle", buffers))
        assert place is not None
        offset, length = place
        mapping = memoryview(map_arena(arena.descriptor))
        assert mapping[offset] == CANCELLED
        _, copies = copy_parts(mapping[offset + LAYOUT_START : offset + length])
        arena.free(offset)
        arena.write_large(0, Bare(bytes(SPAN_LIMIT)))
        assert copies == [b"a" * 50_001, b"b" * 70_000]
        copies[0][0] = 1
    finally:
        arena.close()


def test_spans_are_used_again_before_new_memory_is_touched() -> None:
    """Large records that come and go stay where the first ones were."""
    arena = Arena(1, 64 << 20)
    try:
        for _ in range(200):
            places = [arena.write_large(0, Bare(b"x" * 100_000)) for _ in range(5)]
            arena.free_all([place[0] for place in places if place])
        assert os.fstat(arena.descriptor).st_blocks * 512 <= 800_000
        arena.give_back()
        assert os.fstat(arena.descriptor).st_blocks * 512 <= CHUNK_BYTES
    finally:
        arena.close()
