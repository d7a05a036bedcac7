"""The status page's contract: fields and lanes do not touch, and every process sees them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import product

import pytest

from tests import children
from tests.contract.programs import running
from workpool._frames import TOKEN
from workpool._system import status_page
from workpool._system.status_page import StatusPage, new_page

SLOTS, LANES = 3, 4
FIELDS = (
    status_page.IDLE,
    status_page.STOLEN,
    status_page.MAIL,
    status_page.INTERRUPT,
    status_page.CONDEMNED,
)


@pytest.fixture
def page() -> Iterator[StatusPage]:
    made = new_page(SLOTS, LANES)
    yield made
    made.close()


def test_every_field_has_its_own_word(page: StatusPage) -> None:
    """No two of all header fields and lanes of all slots share a word."""
    indices = [page.field(slot, field) for slot, field in product(range(SLOTS), FIELDS)]
    for slot, lane in product(range(SLOTS), range(LANES)):
        first = page.attempt_index(slot, lane)
        indices += [first, first + 1, page.begun_index(slot, lane)]
    assert len(set(indices)) == len(indices)
    assert max(indices) < len(page.words) == status_page.page_bytes(SLOTS, LANES) // 8


def test_a_new_page_says_nothing(page: StatusPage) -> None:
    """Before any worker wrote, nobody is idle and nobody holds anything."""
    assert not any(page.words)
    assert [page.held(slot) for slot in range(SLOTS)] == [[]] * SLOTS


def test_a_token_cell_is_the_lane(page: StatusPage) -> None:
    """What the kernel writes into a cell is the attempt of that lane, and of no other."""
    page.token_cell(1, 2)[:] = TOKEN.pack(12345, 6, 7)
    assert page.words[page.attempt_index(1, 2)] == 12345
    assert page.held(1) == [(12345, 0)]
    page.words[page.begun_index(1, 2)] = 99
    assert page.held(1) == [(12345, 99)]
    assert page.held(0) == page.held(2) == []


def test_clearing_a_record_clears_that_one(page: StatusPage) -> None:
    """The next worker of a slot begins with a fresh record; its neighbours keep theirs."""
    record = page.field(1, 0)
    for index in range(len(page.words)):
        page.words[index] = index + 1
    page.clear(1)
    for index in range(len(page.words)):
        assert page.words[index] == (0 if index // record == 1 else index + 1)


def test_a_worker_writes_into_its_own_record(page: StatusPage) -> None:
    """What another process writes is seen here at once, in its slot alone."""
    fds = [page.descriptor]
    with running(
        children.write_into_record, page.descriptor, SLOTS, LANES, 1, 500, fds=fds
    ) as worker:
        assert worker.rest() == b""
    assert page.held(1) == [(500 + lane, 500) for lane in range(LANES)]
    assert page.words[page.field(1, status_page.IDLE)] == 500
    assert page.words[page.field(1, status_page.STOLEN)] == 500
    assert page.words[page.field(1, status_page.MAIL)] == 0
    assert page.held(0) == page.held(2) == []


def test_a_closed_page_leaves_nothing() -> None:
    """Closing works while cells are held, as a worker holds its own, once they are released."""
    page = new_page(1, 1)
    page.token_cell(0, 0).release()
    page.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(page.descriptor)


def test_a_lane_that_changes_while_it_is_read_is_read_again() -> None:
    """The time at which one task began is never taken for another's that was in the lane before."""
    made = new_page(1, 1)
    real = made.words
    lane, begun = made.attempt_index(0, 0), made.begun_index(0, 0)

    class Changing:
        """The words, in which another task is taken and begun between two reads."""

        def __getitem__(self, index: int) -> int:
            if index == begun and real[lane] == 1:
                real[lane], real[begun] = 2, 77
            return real[index]

    real[lane] = 1
    made.words = Changing()  # type: ignore[assignment]
    assert made.held(0) == [(2, 77)]
    made.words = real
    made.close()
