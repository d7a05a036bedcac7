"""Mail and lockers: datagrams arrive whole, once, with their descriptors."""

from __future__ import annotations

import array
import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import children
from tests.contract.programs import running
from workpool._system import mail
from workpool._system.mail import INLINE_BYTES, Locker
from workpool._system.memory import read_parcel, write_parcel


@pytest.fixture
def pair() -> Iterator[tuple[Any, Any]]:
    ours, theirs = mail.mail_pair()
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.fixture
def locker() -> Iterator[Locker]:
    made = Locker()
    yield made
    made.close()


def test_datagrams_keep_their_order_and_bounds(pair: tuple[Any, Any]) -> None:
    """What was sent in one piece arrives in one piece, first in first out."""
    ours, theirs = pair
    sent = [b"a", b"bc", b"d" * INLINE_BYTES, b"e"]
    for data in sent:
        mail.send(ours, data)
    assert [mail.receive(theirs) for _ in sent] == [(data, None) for data in sent]


def test_no_mail_is_no_end(pair: tuple[Any, Any]) -> None:
    """Without mail there is an error; the end is an empty datagram, after all that was sent."""
    ours, theirs = pair
    with pytest.raises(BlockingIOError):
        mail.receive(theirs)
    mail.send(ours, b"last")
    ours.close()
    assert mail.receive(theirs) == (b"last", None)
    assert mail.receive(theirs) == mail.receive(theirs, wait=True) == (b"", None)


def test_sending_never_waits(pair: tuple[Any, Any]) -> None:
    """A mailbox that nobody reads says that it is full; reading makes room."""
    ours, theirs = pair
    sent = 0
    with pytest.raises(BlockingIOError):
        while True:
            mail.send(ours, b"x" * 1000)
            sent += 1
    assert sent > 20
    while sent:
        mail.receive(theirs)
        sent -= 1
    mail.send(ours, b"again")


def test_a_descriptor_rides_on_its_datagram(pair: tuple[Any, Any]) -> None:
    """It arrives with its own datagram, is a new one, and no program inherits it."""
    ours, theirs = pair
    read_end, write_end = os.pipe()
    mail.send(ours, b"before")
    mail.send(ours, b"with", write_end)
    mail.send(ours, b"after")
    os.close(write_end)
    assert mail.receive(theirs) == (b"before", None)
    data, descriptor = mail.receive(theirs)
    assert mail.receive(theirs) == (b"after", None)
    assert data == b"with"
    assert descriptor is not None
    assert not os.get_inheritable(descriptor)
    os.write(descriptor, b"through")
    os.close(descriptor)
    assert os.read(read_end, 100) == b"through"
    os.close(read_end)


def test_a_descriptor_in_unread_mail_is_not_leaked(pair: tuple[Any, Any]) -> None:
    """When a mailbox is closed, the kernel closes what was on its way."""
    ours, theirs = pair
    read_end, write_end = os.pipe()
    mail.send(ours, b"with", write_end)
    os.close(write_end)
    theirs.close()
    assert os.read(read_end, 1) == b""
    os.close(read_end)


@given(
    st.binary(max_size=200) | st.just(b"p" * 100_000),
    st.lists(st.binary(max_size=300) | st.just(b"b" * 200_000), max_size=4),
)
def test_parcels_come_out_as_they_went_in(data: bytes, buffers: list[bytes]) -> None:
    """Pickle and buffers of any size, empty ones too, are whole; the descriptor is closed."""
    descriptor = write_parcel(data, buffers)
    got, parts = read_parcel(descriptor)
    assert got == data
    assert [bytes(part) for part in parts] == buffers
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_buffers_are_counted_in_bytes() -> None:
    """An array of wider items arrives with all of them, aligned for any of them."""
    numbers = array.array("d", [1.5] * 1000)
    _, [part] = read_parcel(write_parcel(b"", [numbers]))
    assert part.cast("d").tolist() == numbers.tolist()


def test_what_is_written_to_a_parcel_stays_private() -> None:
    """Two receivers of one parcel do not see each other's changes."""
    descriptor = write_parcel(b"", [b"abc"])
    _, [one] = read_parcel(os.dup(descriptor))
    _, [other] = read_parcel(descriptor)
    one[0:1] = b"X"
    assert (bytes(one), bytes(other)) == (b"Xbc", b"abc")


def test_a_parcel_waits_in_its_locker(locker: Locker) -> None:
    """A locker is empty, full while a parcel lies in it, empty when that has been fetched."""
    assert locker.empty
    locker.put(write_parcel(b"pickle", [b"buffer"]))
    assert not locker.empty
    fds = [locker.outer.fileno()]
    with running(children.fetch_parcel, locker.outer.fileno(), fds=fds) as worker:
        assert worker.rest() == b"picklebuffer"
    assert locker.empty


def test_a_parcel_nobody_fetches_can_be_thrown_away(locker: Locker) -> None:
    """Clearing empties a locker, twice does no harm, and the descriptor is gone with it."""
    read_end, write_end = os.pipe()
    locker.put(write_end)
    locker.clear()
    locker.clear()
    assert locker.empty
    assert os.read(read_end, 1) == b""
    os.close(read_end)


def test_a_parcel_is_gone_with_its_locker() -> None:
    """Closing a locker closes what lies in it."""
    locker = Locker()
    read_end, write_end = os.pipe()
    locker.put(write_end)
    locker.close()
    assert os.read(read_end, 1) == b""
    os.close(read_end)
