"""How channels end: destroyed, dropped, with their loop, with their parent; nothing is left."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import channel_children as children
from tests.contract.programs import Program, has_ended_within
from tests.integration.test_channel_talk import served
from workpool import ChannelClosed
from workpool.channels import ParentChannel

SECONDS_TO_GO = 1.0


class Parent(Program):
    """A program of `tests.channel_children` that has a child of its own."""

    def __init__(self, function: Callable[..., object], *arguments: str) -> None:
        command = children.command(function, *arguments)
        self._popen = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.pid = self._popen.pid
        self._descriptor = os.pidfd_open(self.pid)


async def test_destroy_ends_the_waits_and_the_child() -> None:
    """Every wait is told; the child saw the channel close and ended by itself, in good order."""
    lines: list[str] = []
    async with served(output=lambda _, line: lines.append(line)) as channel:
        waits = [
            asyncio.ensure_future(wait)
            for wait in (channel.request("never"), channel.listen_once("x"), channel.closed())
        ]
        await asyncio.sleep(0)
        await channel.destroy(grace=20)
        asked, listened, closed = await asyncio.gather(*waits, return_exceptions=True)
        assert isinstance(asked, ChannelClosed)
        assert isinstance(listened, ChannelClosed)
        assert "this side has destroyed the channel" in str(asked)
        assert closed is None
        assert lines == ["served"]
        assert not channel.alive
        await channel.destroy()
        with pytest.raises(ChannelClosed):
            channel.send("x")


async def test_a_child_that_does_not_listen_is_killed_with_its_own() -> None:
    """What it has started goes too, also when the child itself is busy for ever."""
    async with served() as channel:
        pids = [channel.id, await channel.request("start")]
        channel.send("block")
        await channel.destroy(grace=0.05)
        assert has_ended_within(pids, SECONDS_TO_GO)


async def test_destroy_needs_not_be_awaited() -> None:
    """Called and forgotten, it ends the child all the same."""
    async with served() as channel:
        channel.send("block")
        channel.destroy(grace=0.05)
        await asyncio.wait_for(channel.destroy(grace=60), 20)


async def test_destroy_cancels_the_handlers_but_not_its_caller() -> None:
    """A handler may destroy its own channel; the others end."""
    ended: list[str] = []
    destroyed = asyncio.Event()

    async def wait(_: object) -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            ended.append("waiting")

    async def destroy(_: object) -> None:
        await channel.destroy(grace=0)
        ended.append("destroying")
        destroyed.set()

    async with served() as channel:
        channel.listen_for("number", wait)
        channel.listen_for("number", destroy)
        channel.send("count", 1)
        await destroyed.wait()
    assert ended == ["waiting", "destroying"]


async def test_leaving_the_block_on_an_error_ends_the_child() -> None:
    """The error passes, and nothing is left."""
    with pytest.raises(KeyError):
        async with served() as channel:
            raise KeyError
    assert not channel.alive


@pytest.mark.parametrize("in_a_circle", [False, True])
async def test_a_dropped_channel_ends_its_child_with_a_warning(in_a_circle: bool) -> None:
    """Nobody holds it: neither the event loop nor its own handlers keep it."""
    channel = ParentChannel(children.command(children.serve))
    pid = await channel.listen_once("ready")
    if in_a_circle:
        channel.listen_for("number", channel.send)
    gone = weakref.ref(channel)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del channel
        gc.collect()
    assert gone() is None
    assert ["never destroyed" in str(w.message) for w in caught] == [True]
    assert has_ended_within([pid], SECONDS_TO_GO)


async def test_a_dropped_channel_whose_child_has_ended_is_no_news() -> None:
    """There is nothing left to be destroyed."""
    channel = ParentChannel("true")
    await channel.closed()
    del channel
    gc.collect()


def test_a_channel_outlives_its_loop_without_harm() -> None:
    """It can be destroyed afterwards, without a loop, and be dropped."""
    channel = asyncio.run(_start())
    pid = channel.id
    channel.destroy()
    assert not channel.alive
    assert has_ended_within([pid], 0)
    with pytest.raises(ChannelClosed):
        channel.send("x")
    del channel
    gc.collect()


async def _start() -> ParentChannel:
    channel = ParentChannel(children.command(children.serve))
    await channel.listen_once("ready")
    return channel


def _drop(held: list[ParentChannel]) -> None:
    held.clear()
    gc.collect()


def test_a_channel_dropped_after_its_loop_ends_its_child() -> None:
    """With the warning, and no complaint of a closed loop."""
    channel = asyncio.run(_start())
    pid = channel.id
    held = [channel]
    del channel
    with pytest.warns(ResourceWarning, match="never destroyed"):
        _drop(held)
    assert has_ended_within([pid], SECONDS_TO_GO)


@pytest.mark.parametrize("occupation", ["idle", "block", "end", "raise"])
def test_the_child_goes_with_its_parent(occupation: str) -> None:
    """However the parent ends, and whatever the child is doing, it and its own are gone."""
    parent = Parent(children.be_a_parent, occupation)
    try:
        pids = [int(word) for word in parent.line().split()]
        assert len(pids) == 2
        if occupation in ("idle", "block"):
            parent.kill()
        assert parent.ending() is not None
        assert has_ended_within(pids, SECONDS_TO_GO)
    finally:
        parent.close()


def test_a_channel_never_keeps_the_parent_from_exiting() -> None:
    """Held in a global variable until the very end, it holds nothing up and says nothing."""
    parent = Parent(children.end_with_a_channel)
    try:
        pid = int(parent.line())
        assert parent.ending() == 0
        assert has_ended_within([pid], SECONDS_TO_GO)
    finally:
        parent.close()


async def test_a_forked_child_of_the_parent_lets_go() -> None:
    """It neither keeps the channel open when the parent closes it nor can use it."""
    async with served() as channel:
        told, tell = os.pipe()
        go, stop = os.pipe()
        fork = os.fork()
        if fork == 0:
            os.close(stop)
            try:
                channel.send("x")
            except ChannelClosed:
                os.write(tell, b"closed")
            os.read(go, 1)
            os._exit(0)
        os.close(tell)
        os.close(go)
        assert os.read(told, 100) == b"closed"
        os.close(told)
        assert await channel.request("double", 1) == 2
        await channel.destroy(grace=20)  # the child sees the end although the fork lives
        os.close(stop)
        os.waitpid(fork, 0)


async def test_whoever_inherits_the_channel_hides_nobodys_death(tmp_path: Path) -> None:
    """The parent is told of the child's end by the child's end, whoever else holds its descriptors."""
    note = tmp_path / "pid"
    escape = f"setsid sh -c 'echo $$ > {note}; exec sleep 1000' & while [ ! -s {note} ]; do :; done"
    async with ParentChannel(["sh", "-c", f"{escape}; kill -9 $$"]) as channel:
        with pytest.raises(ChannelClosed, match="SIGKILL") as closed:
            await channel.request("x", timeout=20)
        assert closed.value.signal_name == "SIGKILL"
    os.kill(int(note.read_text()), signal.SIGKILL)
