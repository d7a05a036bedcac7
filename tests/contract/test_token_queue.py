"""The queue's contract: first in first out, each token to one reader, whoever dies."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterable, Iterator
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import children
from tests.contract.programs import running
from workpool._frames import TOKEN, TOKENS_PER_WRITE
from workpool._scheduler import DEPTH_TASKS
from workpool._system.status_page import new_page
from workpool._system.token_queue import TokenQueue


def token(attempt: int) -> bytes:
    return TOKEN.pack(attempt, attempt % 1000, 7)


def joined(tokens: Iterable[bytes]) -> bytes:
    return b"".join(tokens)


def attempts(taken: list[tuple[int, int, int]]) -> list[int]:
    assert all(offset == attempt % 1000 and length == 7 for attempt, offset, length in taken)
    return [attempt for attempt, _, _ in taken]


@pytest.fixture
def queue() -> Iterator[TokenQueue]:
    made = TokenQueue()
    yield made
    made.close()


@given(st.lists(st.integers(0, 600), max_size=6))
def test_tokens_come_out_as_they_went_in(sizes: list[int]) -> None:
    """However many are pushed at a time, the order is kept and nothing is torn."""
    queue, pushed = TokenQueue(), 0
    try:
        for size in sizes:
            assert queue.push(joined(token(pushed + number) for number in range(size))) == size
            pushed += size
            assert queue.waiting() == pushed
        assert attempts(queue.drain()) == list(range(pushed))
        assert queue.waiting() == 0
        assert queue.drain() == []
    finally:
        queue.close()


@given(st.integers(1, TOKENS_PER_WRITE))
def test_a_queue_holds_what_the_scheduler_may_send(size: int) -> None:
    """Whatever the sizes of the pushes, a queue has room for the deepest backlog of a slot."""
    queue = TokenQueue()
    try:
        tokens = joined(token(number) for number in range(size))
        pushed = 0
        while queue.push(tokens) == size:
            pushed += size
        assert pushed + size > DEPTH_TASKS
    finally:
        queue.close()


def test_a_full_queue_takes_what_fits_and_says_how_much(queue: TokenQueue) -> None:
    """Pushing never blocks and never loses: what is counted is in, the rest is not."""
    pushed = queue.push(joined(token(number) for number in range(100_000)))
    assert 0 < pushed < 100_000
    assert queue.push(token(1)) == 0
    assert queue.waiting() == pushed
    assert attempts(queue.drain()) == list(range(pushed))
    assert queue.push(token(1) + token(2)) == 2


def test_a_queue_that_got_room_takes_that_much(queue: TokenQueue) -> None:
    """After some were taken, pushing goes on where it stopped, in order."""
    pushed = queue.push(joined(token(number) for number in range(100_000)))
    # The kernel frees whole pages.
    for _ in range(TOKENS_PER_WRITE + 10):
        os.read(queue.read_end, TOKEN.size)
    more = queue.push(joined(token(pushed + number) for number in range(100_000)))
    assert more >= TOKENS_PER_WRITE
    assert attempts(queue.drain()) == list(range(TOKENS_PER_WRITE + 10, pushed + more))


def test_pushing_nothing_is_nothing(queue: TokenQueue) -> None:
    """An empty push leaves the queue as it is."""
    assert queue.push(b"") == queue.waiting() == 0


def test_each_token_goes_to_one_of_several_readers(queue: TokenQueue) -> None:
    """Processes that read one queue at once share its tokens, each in the order of the pushes."""
    count = 30_000
    with ExitStack() as stack:
        readers = [
            stack.enter_context(
                running(children.take_all_tokens, queue.read_end, fds=[queue.read_end])
            )
            for _ in range(3)
        ]
        assert [reader.line() for reader in readers] == ["ready"] * 3
        pushed = 0
        while pushed < count:
            batch = [token(number) for number in range(pushed, min(count, pushed + 1500))]
            done = queue.push(joined(batch))
            pushed += done
            if done < len(batch):
                select.select([], [queue.write_end], [])
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, queue.write_end)  # closed, as far as the readers can tell
        os.close(null)
        taken = [[int(word) for word in reader.rest().split()] for reader in readers]
    assert sorted(attempt for some in taken for attempt in some) == list(range(count))
    assert all(some == sorted(some) for some in taken)


def test_tokens_survive_the_death_of_a_reader(queue: TokenQueue) -> None:
    """What a killed process had not taken is still there, for anybody."""
    queue.push(joined(token(number) for number in range(10)))
    with running(children.take_a_token_and_stay, queue.read_end, fds=[queue.read_end]) as reader:
        assert reader.line() == "ready"
        reader.kill()
    assert attempts(queue.drain()) == list(range(1, 10))


def test_taking_and_recording_are_one_step(queue: TokenQueue) -> None:
    """A worker that dies right after its `readv` has left the token in the status page."""
    page = new_page(3, 2)
    try:
        queue.push(token(41) + token(42))
        fds = [queue.read_end, page.descriptor]
        with running(
            children.take_into_page_and_die, queue.read_end, page.descriptor, 3, 2, 1, fds=fds
        ) as reader:
            assert reader.ending() == -signal.SIGKILL
        assert page.held(2) == [(41, 0)]
        assert page.held(0) == page.held(1) == []
        assert attempts(queue.drain()) == [42]
    finally:
        page.close()


def test_an_empty_queue_is_no_end(queue: TokenQueue) -> None:
    """Reading an empty queue raises; only a closed one is at its end."""
    with pytest.raises(BlockingIOError):
        os.read(queue.read_end, TOKEN.size)


def test_programs_do_not_inherit_a_queue(queue: TokenQueue) -> None:
    """A queue is closed on exec unless it is passed on."""
    assert not os.get_inheritable(queue.read_end)
    assert not os.get_inheritable(queue.write_end)
