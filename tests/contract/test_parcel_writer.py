"""Kept parcels: memory is written to again only when nobody has it any more, and then given back."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from workpool._system import mail, parcel_writer
from workpool._system.memory import read_parcel
from workpool._system.parcel_writer import WORTH_KEEPING, ParcelWriter


class Clock:
    """Calls later when it is told to."""

    def __init__(self) -> None:
        self.due: list[Callable[[], None]] = []

    def call_later(self, _seconds: float, function: Callable[[], None]) -> None:
        self.due.append(function)

    def pass_time(self) -> None:
        due, self.due = self.due, []
        for function in due:
            function()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def writer(clock: Clock) -> Iterator[ParcelWriter]:
    made = ParcelWriter()
    made.call_later = clock.call_later
    yield made
    made.close()


def content(letter: bytes, size: int = WORTH_KEEPING) -> bytes:
    return letter * size


def file_of(descriptor: int) -> int:
    """Return which file a descriptor is of. Closes it."""
    inode = os.fstat(descriptor).st_ino
    os.close(descriptor)
    return inode


def write(writer: ParcelWriter, letter: bytes = b"x", size: int = WORTH_KEEPING) -> int:
    return writer.write(b"pickle", [content(letter, size)])


def test_memory_that_nobody_has_is_written_to_again(writer: ParcelWriter) -> None:
    """Many parcels, one after the other, take the memory of one, and each is whole."""
    files = set()
    for number in range(6):
        descriptor = write(writer, letter := bytes([number]))
        files.add(file_of(os.dup(descriptor)))
        data, [buffer] = read_parcel(descriptor)
        assert (bytes(data), bytes(buffer)) == (b"pickle", content(letter))
        del data, buffer
    assert len(files) == 1


@pytest.mark.parametrize("holder", ["descriptor", "mapping", "socket", "child"])
def test_memory_that_somebody_has_is_not_touched(writer: ParcelWriter, holder: str) -> None:
    """Open, mapped, on its way in a socket or in a child process: another file is written."""
    write_and_drop = [file_of(write(writer)) for _ in range(2)]  # mapped by the writer, too
    descriptor = write(writer, b"a")
    inode = os.fstat(descriptor).st_ino
    assert inode == write_and_drop[0]
    let_go = hold(descriptor, holder)
    assert file_of(write(writer, b"b")) != inode
    assert file_of(write(writer, b"c")) != inode
    let_go()
    assert inode in {file_of(write(writer, b"d")) for _ in range(3)}


def hold(descriptor: int, holder: str) -> Callable[[], None]:
    """Hold a parcel in some way, its descriptor closed; return what ends that."""
    if holder == "descriptor":
        return lambda: os.close(descriptor)
    if holder == "socket":
        return _hold_in_socket(descriptor)
    if holder == "child":
        return _hold_in_child(descriptor)
    held = [read_parcel(descriptor)]

    def unmap() -> None:
        assert bytes(held[0][1][0]) == content(b"a")
        held.clear()

    return unmap


def _hold_in_socket(descriptor: int) -> Callable[[], None]:
    ours, theirs = mail.mail_pair()
    mail.send(ours, b"parcel", descriptor)
    os.close(descriptor)

    def drop() -> None:
        ours.close()
        theirs.close()

    return drop


def _hold_in_child(descriptor: int) -> Callable[[], None]:
    parts = read_parcel(descriptor)
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        os.close(write_end)
        os.read(read_end, 1)
        os._exit(0)
    os.close(read_end)
    del parts

    def end() -> None:
        os.close(write_end)
        os.waitpid(child, 0)

    return end


def test_a_smaller_parcel_fits_into_larger_memory(writer: ParcelWriter) -> None:
    """What is left there of another parcel is none of its parts."""
    first = file_of(write(writer, b"a", 3 * WORTH_KEEPING))
    descriptor = write(writer, b"b", 2 * WORTH_KEEPING)
    assert file_of(os.dup(descriptor)) == first
    _, [buffer] = read_parcel(descriptor)
    assert bytes(buffer) == content(b"b", 2 * WORTH_KEEPING)


def test_memory_is_given_back_when_it_is_not_used(writer: ParcelWriter, clock: Clock) -> None:
    """The first look finds that it was used, the second that it was not since."""
    file_of(write(writer))
    clock.pass_time()
    assert writer.kept_bytes >= WORTH_KEEPING
    clock.pass_time()
    assert writer.kept_bytes == 0
    assert not clock.due  # and nothing wakes an idle process any more
    file_of(write(writer))
    assert len(clock.due) == 1


def test_other_memory_is_given_back_at_the_same_time(clock: Clock) -> None:
    """Whoever says that memory is in use is told when nothing has used any for a while; once."""
    told: list[bool] = []
    writer = ParcelWriter(lambda: told.append(True))
    writer.memory_is_used()  # nothing happens without an event loop
    writer.call_later = clock.call_later
    writer.memory_is_used()
    clock.pass_time()
    writer.memory_is_used()
    clock.pass_time()
    assert told == []
    clock.pass_time()
    clock.pass_time()
    assert told == [True]
    writer.close()


def test_what_is_kept_is_limited(writer: ParcelWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many parcels are in somebody's hands, and however large they are."""
    monkeypatch.setattr(parcel_writer, "MOST_KEPT_BYTES", 4 * WORTH_KEEPING)
    held = [write(writer) for _ in range(20)]
    held.append(write(writer, b"x", 5 * WORTH_KEEPING))
    assert 0 < writer.kept_bytes <= 4 * WORTH_KEEPING
    assert len({file_of(descriptor) for descriptor in held}) == 21


def test_small_parcels_are_not_kept(writer: ParcelWriter, clock: Clock) -> None:
    """They cost less than finding out who has them."""
    file_of(writer.write(b"pickle", [b"x" * 100_000]))
    assert writer.kept_bytes == 0
    assert not clock.due


def refuse(*_: Any) -> int:
    raise OSError("not here")


def grant(*_: Any) -> int:
    return 0


@pytest.mark.parametrize("answer", [refuse, grant])
def test_a_kernel_that_cannot_tell_keeps_nothing(
    writer: ParcelWriter, monkeypatch: pytest.MonkeyPatch, answer: Callable[..., int]
) -> None:
    """Without leases, or with leases that say nothing, each parcel has memory of its own."""
    monkeypatch.setattr(fcntl, "fcntl", answer)
    descriptors = [write(writer, bytes([number])) for number in range(3)]
    assert writer.kept_bytes == 0
    for number, descriptor in enumerate(descriptors):
        assert bytes(read_parcel(descriptor)[1][0]) == content(bytes([number]))


def test_without_descriptors_a_parcel_is_sent_and_not_kept(
    writer: ParcelWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keeping is a matter of speed alone."""
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        descriptor = write(writer)
    assert writer.kept_bytes == 0
    assert bytes(read_parcel(descriptor)[1][0]) == content(b"x")


def test_no_memory_is_an_error_that_leaves_nothing(
    writer: ParcelWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next parcel, when there is memory, is written as ever."""
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", refuse)
        with pytest.raises(OSError, match="not here"):
            write(writer)
    assert writer.kept_bytes == 0
    assert bytes(read_parcel(write(writer))[1][0]) == content(b"x")


def test_a_kernel_that_cannot_fill_mappings_writes(
    writer: ParcelWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before Linux 5.14 the kept memory is written to without being mapped."""
    monkeypatch.setattr(parcel_writer, "_POPULATE_WRITE", 999)
    for letter in (b"a", b"b", b"c"):
        _, [buffer] = read_parcel(write(writer, letter))
        assert bytes(buffer) == content(letter)
        del buffer
