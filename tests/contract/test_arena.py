"""The arena's contract: records stay intact until they are freed, and space comes back."""

from __future__ import annotations

import mmap
from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests import children
from tests.contract.programs import running
from workpool._frames import CANCELLED, PARCEL
from workpool._system.arena import CHUNK_BYTES, RECORD_LIMIT, Arena, map_arena

CHUNKS = 4
PAYLOADS = st.binary(max_size=100) | st.integers(0, RECORD_LIMIT - 1).map(lambda n: b"x" * n)


class ArenaMachine(RuleBasedStateMachine):
    """Writes and frees in any order, with a dict of what must be there as the model."""

    @initialize()
    def start(self) -> None:
        self.arena = Arena(CHUNKS)
        self.live: dict[int, bytes] = {}

    @rule(payload=PAYLOADS, flags=st.integers(0, 7))
    def write(self, payload: bytes, flags: int) -> None:
        offset = self.arena.write(flags, payload)
        if offset < 0:
            assert sum(map(len, self.live.values())) > CHUNK_BYTES // 2
            return
        record = bytes([flags]) + payload
        end = offset + len(record)
        assert offset // CHUNK_BYTES == (end - 1) // CHUNK_BYTES
        for other, content in self.live.items():
            assert end <= other or other + len(content) <= offset
        self.live[offset] = record

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
        for offset in self.live:
            self.arena.free(offset)
        self.live.clear()
        offsets = [self.arena.write(0, b"x" * (RECORD_LIMIT - 1)) for _ in range(4 * CHUNKS)]
        assert min(offsets) >= 0, "the space of freed records is lost"
        assert self.arena.write(0, b"x" * (RECORD_LIMIT - 1)) == -1
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


TestArena = ArenaMachine.TestCase
TestArena.settings = settings(max_examples=60, stateful_step_count=40)
TestArena.__doc__ = "No record overlaps another or is changed, and no space is lost."


@pytest.fixture
def arena() -> Iterator[Arena]:
    made = Arena(CHUNKS)
    yield made
    made.close()


def test_one_long_task_holds_one_chunk(arena: Arena) -> None:
    """Thousands of short records pass by one that stays."""
    stays = arena.write(0, b"stays")
    for _ in range(20_000):
        offset = arena.write(0, b"x" * 200)
        assert offset >= 0
        arena.free(offset)
    assert arena.memory[stays + 1 : stays + 6] == b"stays"


def test_memory_is_used_again_before_new_is_touched() -> None:
    """A pool whose tasks come and go stays in a few chunks of however large an arena."""
    arena = Arena(1000)
    try:
        offsets = set()
        for _ in range(5000):
            batch = [arena.write(0, b"x" * 1000) for _ in range(100)]
            offsets.update(batch)
            for offset in batch:
                arena.free(offset)
        assert len({offset // CHUNK_BYTES for offset in offsets}) <= 3
    finally:
        arena.close()


def test_a_worker_sees_what_the_pool_writes(arena: Arena) -> None:
    """A mapping in another process shows the record."""
    offset = arena.write(PARCEL, b"payload")
    with running(
        children.read_record, arena.descriptor, offset, 8, fds=[arena.descriptor]
    ) as reader:
        assert reader.rest() == bytes([PARCEL]) + b"payload"


def test_workers_cannot_write(arena: Arena) -> None:
    """A worker's mapping is read-only, and shows marks that are set later."""
    offset = arena.write(0, b"payload")
    mapping: mmap.mmap = map_arena(arena.descriptor)
    with pytest.raises(TypeError):
        mapping[offset] = 1
    arena.add_flag(offset, CANCELLED)
    assert mapping[offset] == CANCELLED
    mapping.close()
