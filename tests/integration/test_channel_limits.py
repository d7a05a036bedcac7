"""Whoever does not read, or writes too much, costs the other side neither memory nor its loop."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests import channel_children as children
from workpool import ChannelClosed, ChannelFull, ChannelTimeout
from workpool.channels import ParentChannel
from workpool.channels._channel import Channel
from workpool.channels._handlers import HELD_LIMIT
from workpool.channels._lines import LineFormat
from workpool.channels._link import UNSENT_LIMIT

MEGABYTE = "x" * (1 << 20)


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """Yield both ends of a pipe."""
    read_end, write_end = os.pipe()
    try:
        yield read_end, write_end
    finally:
        os.close(read_end)
        os.close(write_end)


async def fill(channel: Channel) -> int:
    """Send until no more is taken; return how much went."""
    for count in range(1000):
        try:
            channel.send("big", MEGABYTE)
        except ChannelFull:
            return count
    raise AssertionError("all of it was taken")


async def test_a_child_that_does_not_read_fills_nobodys_memory() -> None:
    """Sending is refused from a limit on, at once, with what to do; nothing of it blocks the loop."""
    async with ParentChannel("sleep 1000") as channel:
        sent = await fill(channel)
        assert UNSENT_LIMIT >> 20 <= sent <= (UNSENT_LIMIT >> 20) + 2
        with pytest.raises(ChannelFull, match=r"has not read.*drain\(\)"):
            channel.send("small")
        for waiting in (channel.drain(timeout=0.05), channel.request("x", timeout=0.05)):
            with pytest.raises(ChannelTimeout, match=r"longer than 0\.05 seconds"):
                await waiting
        draining = asyncio.ensure_future(channel.drain())
        await asyncio.sleep(0)
        await channel.destroy(grace=0)
        with pytest.raises(ChannelClosed):
            await draining


async def test_a_sender_that_gives_its_loop_no_turn_may_go_on_while_the_other_reads() -> None:
    """What has been read since is not held against it."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    channel = Channel(ours, LineFormat("parent"), 5.0, "the reader", asyncio.get_running_loop())
    with theirs:
        await fill(channel)
        for _ in range(100):
            with suppress(BlockingIOError):
                while theirs.recv(1 << 20):
                    pass
            with suppress(ChannelFull):
                channel.send("one more")
                break
        else:
            raise AssertionError("what was read made no room")
        channel._finish("the test is over")


async def test_draining_paces_the_sender() -> None:
    """A hundred megabytes go through, of which only a few ever wait here; all arrive, in order."""
    async with ParentChannel(children.command(children.count_bytes)) as channel:
        for _ in range(100):
            channel.send("big", MEGABYTE)
            assert channel._link.unsent <= 2 << 20
            await channel.drain()
            assert channel._link.unsent == 0
        assert await channel.request("counted") == [100, 100 << 20]


async def test_what_waited_goes_out_when_the_child_reads_again() -> None:
    """Nothing of what was taken is lost, and a request waits for its turn."""
    with pipe() as (read_end, write_end):
        command = children.with_descriptor(children.read_when_told, read_end)
        async with ParentChannel(command) as channel:
            sent = await fill(channel)
            asking = asyncio.ensure_future(channel.request("last"))
            await asyncio.sleep(0)
            os.write(write_end, b"x")
            assert await channel.listen_once("done") == sent + 1
            asking.cancel()


async def test_a_child_that_talks_too_much_is_made_to_wait() -> None:
    """What the handlers have not dealt with is bounded; the rest waits in the child; none is lost."""
    gate = asyncio.Event()
    started = 0
    most = 0

    async def handle(_: object) -> None:
        nonlocal started, most
        started += 1
        await gate.wait()

    line = '{"type": "x", "content": "%s"}' % ("y" * 10_000)
    async with ParentChannel(children.command(children.flood, line, 5000)) as channel:
        channel.listen_for("x", handle)
        ended = asyncio.ensure_future(channel.listen_once("end"))
        while started != most or not started:
            most = started
            await asyncio.sleep(0.2)
        assert 0.5 * HELD_LIMIT < started * len(line) < 1.1 * HELD_LIMIT
        assert not ended.done()
        gate.set()
        await ended
        assert started == 5000


async def test_a_child_that_does_not_read_its_answers_is_made_to_wait() -> None:
    """Answers nobody reads do not pile up: no more questions are read."""
    answered = 0

    def answer(_: object) -> str:
        nonlocal answered
        answered += 1
        return MEGABYTE

    async with ParentChannel(children.command(children.ask_and_not_read, 1000)) as channel:
        channel.listen_for("big", answer)
        before = -1
        while answered != before or not answered:
            before = answered
            await asyncio.sleep(0.2)
        assert answered <= ((UNSENT_LIMIT + HELD_LIMIT) >> 20) + 4


async def test_a_flood_does_not_take_the_loop() -> None:
    """Other work of the loop has its turns while a hundred thousand messages come."""
    turns = 0
    count = 0

    def note(_: object) -> None:
        nonlocal count
        count += 1

    async with ParentChannel(children.command(children.flood, '{"type": "x"}', 100_000)) as channel:
        channel.listen_for("x", note)
        ended = asyncio.ensure_future(channel.listen_once("end"))
        while not ended.done():
            await asyncio.sleep(0)
            turns += 1
        assert count == 100_000
        assert turns > 20


async def test_a_long_conversation_needs_no_more_memory() -> None:
    """What requests leave behind does not grow with their number."""
    async with ParentChannel(children.command(children.serve)) as channel:
        await channel.listen_once("ready")
        for _ in range(2000):
            await channel.request("double", 1)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(3000):
            await channel.request("double", 1)
        assert not channel._answers
        assert not channel._waits._pending
        assert not channel._once
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2048  # kB
