"""What can go wrong with a channel: each ends in one clear error at the right call, nothing hangs."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests import channel_children as children
from tests.integration.test_channel_talk import served
from workpool import (
    ChannelClosed,
    ChannelTimeout,
    RequestFailed,
    SerializationError,
    WorkerStartError,
)
from workpool.channels import ChildChannel, ParentChannel

Wait = Callable[[ParentChannel], Awaitable[Any]]

WAITS: dict[str, Wait] = {
    "the request 'never'": lambda channel: channel.request("never"),
    "waiting for 'nothing'": lambda channel: channel.listen_once("nothing"),
}


def quiet(_stream: str, _line: str) -> None:
    """Take output that only matters as evidence."""


def writer(data: bytes, then: str = "wait") -> list[str]:
    return children.command(children.write, data, then)


@pytest.mark.parametrize("doing", WAITS)
@pytest.mark.parametrize("death", ["exit", "kill"])
async def test_a_childs_end_ends_every_wait(doing: str, death: str) -> None:
    """The error says what was done, and how the child ended, in words and attributes."""
    number = 7 if death == "exit" else int(signal.SIGSEGV)
    async with served() as channel:
        waiting = asyncio.ensure_future(WAITS[doing](channel))
        await asyncio.sleep(0)
        channel.send(death, number)
        with pytest.raises(ChannelClosed, match=doing) as closed:
            await waiting
        if death == "exit":
            assert (closed.value.exit_code, closed.value.signal_name) == (7, None)
            assert "exited with code 7" in str(closed.value)
        else:
            assert (closed.value.exit_code, closed.value.signal_name) == (None, "SIGSEGV")
            assert "ended by SIGSEGV" in str(closed.value)
        assert f"process {channel.id}" in str(closed.value)
        assert not channel.active
        assert not channel.alive
        await channel.closed()


async def test_after_the_end_every_call_says_so() -> None:
    """Whoever comes too late gets the same evidence at once."""
    async with served() as channel:
        channel.send("exit", 3)
        await channel.closed()
        with pytest.raises(ChannelClosed, match=r"sending 'x' failed.*exited with code 3"):
            channel.send("x")
        for call in (channel.request("x"), channel.listen_once("x"), channel.drain()):
            with pytest.raises(ChannelClosed, match="exited with code 3") as closed:
                await call
            assert closed.value.exit_code == 3


async def test_the_error_shows_what_the_child_wrote_last() -> None:
    """The traceback that a child died of is in the message, if its output goes through the parent."""
    program = "import sys; print('noise\\n' * 99, file=sys.stderr); raise ValueError('no model')"
    async with ParentChannel([sys.executable, "-c", program], output=quiet) as channel:
        with pytest.raises(ChannelClosed, match="ValueError: no model") as closed:
            await channel.listen_once("ready")
        assert "code 1" in str(closed.value)
        assert len(str(closed.value)) < 3000


async def test_a_child_that_does_not_use_its_channel_is_named() -> None:
    """The newcomer's mistake: a program that does its work and ends."""
    async with ParentChannel("true") as channel:
        with pytest.raises(ChannelClosed, match=r"code 0.*never wrote.*ChildChannel"):
            await channel.request("x")


async def test_a_child_that_ends_too_early_is_told_how_to_stay() -> None:
    """The other newcomer's mistake: no `await channel.closed()`."""
    command = writer(b'{"type": "ready"}\n', then="end")
    async with ParentChannel(command) as channel:
        await channel.listen_once("ready")
        with pytest.raises(ChannelClosed, match=r"code 0.*await channel\.closed\(\)"):
            await channel.request("x")


async def test_what_a_child_said_before_its_end_is_heard() -> None:
    """Its last messages come before the end is told, however many there are."""
    numbers: list[int] = []
    async with ParentChannel(children.command(children.write_numbers, 5000)) as channel:
        channel.listen_for("number", numbers.append)
        await channel.closed()
    assert numbers == list(range(5000))


async def test_a_child_that_leaves_but_runs_on_is_told_from_one_that_died(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its last words are heard; the error says that it still runs, and `destroy` ends it."""
    monkeypatch.setattr("workpool.channels._parent._EXIT_NOTICE", 0.02)
    channel = ParentChannel(children.command(children.leave_and_stay))
    assert await channel.listen_once("bye") == "last words"
    with pytest.raises(ChannelClosed, match="closed the channel but still runs"):
        await channel.request("never")
    assert channel.alive
    assert not channel.active
    await channel.destroy(grace=0)
    assert not channel.alive


async def test_a_child_that_leaves_in_a_handler() -> None:
    """It need not await that: what it had sent comes, then the channel ends, and the child runs on."""
    async with ParentChannel(children.command(children.leave_when_told)) as channel:
        channel.send("leave")
        assert await channel.listen_once("bye") == "last words"
        await asyncio.wait_for(channel.closed(), 20)
        assert channel.alive
        assert not channel.active
        await channel.destroy(grace=0)


async def test_a_thread_that_is_not_its_own_is_refused() -> None:
    """With a word on what to do there."""
    async with served() as channel:
        with pytest.raises(RuntimeError, match=r"another thread.*call_soon_threadsafe"):
            await asyncio.to_thread(channel.send, "echo")
        asyncio.get_running_loop().call_soon_threadsafe(channel.send, "echo")
        assert await channel.request("double", 2) == 4


async def test_a_loop_that_is_not_its_own_is_refused() -> None:
    """Every wait says so, with a word on what to do there."""
    async with served() as channel:
        waits: list[Wait] = [*WAITS.values(), ParentChannel.drain, ParentChannel.closed]

        async def refused(wait: Wait) -> None:
            with pytest.raises(RuntimeError, match=r"another one.*run_coroutine_threadsafe"):
                await wait(channel)

        for wait in waits:
            await asyncio.to_thread(asyncio.run, refused(wait))
        assert await channel.request("double", 2) == 4


@pytest.mark.parametrize("doing", WAITS)
async def test_a_wait_that_takes_too_long_says_what_is_known(doing: str) -> None:
    """Neither wait hangs; the channel goes on; `ChannelTimeout` is a `TimeoutError`."""
    async with served(timeout=0.1, output=quiet) as channel:
        with pytest.raises(ChannelTimeout, match=f"{doing} took longer than 0.1 seconds") as late:
            await WAITS[doing](channel)
        assert isinstance(late.value, TimeoutError)
        for part in (f"process {channel.id}", "1 lines", "standard error", "timeout="):
            assert part in str(late.value)
        assert await channel.request("double", 1, timeout=20) == 2


async def test_a_wait_for_the_wrong_type_is_told_what_came() -> None:
    """A message that came when nobody listened is named."""
    async with ParentChannel(writer(b'{"type": "redy"}\n{"type": "started"}\n')) as channel:
        await channel.listen_once("started")
        with pytest.raises(ChannelTimeout, match=r"nobody listened for 'redy' \(1\)"):
            await channel.listen_once("ready", timeout=0.02)


async def test_a_child_that_says_nothing_is_told_from_one_that_talks() -> None:
    """The message says that it has not written a line."""
    async with ParentChannel("sleep 1000") as channel:
        with pytest.raises(ChannelTimeout, match="has written no line"):
            await channel.request("x", timeout=0.02)
        await channel.destroy(grace=0)


async def test_a_late_answer_is_dropped() -> None:
    """After a timeout or a cancellation the answer goes nowhere, and the next is not mistaken."""
    async with ParentChannel(
        children.command(children.answer, '{"answer": NUMBER, "content": NUMBER}')
    ) as channel:
        given_up = asyncio.ensure_future(channel.request("x"))
        await asyncio.sleep(0)
        given_up.cancel()
        assert await channel.request("x") == 2


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"Hello, world!", "line 2 .*is not JSON.*'Hello, world!'"),
        (b'{"type": 5}', "line 2 .*neither a"),
        (b'{"type": "x", "pickled": "gA=="}', "line 2 .*pickled=True"),
        (b'{"answer": 99, "content": 1}', "line 2 .*request 99, which was never made"),
        (b'{"answer": 0}', "line 2 .*never made"),
        (b'{"answer": true}', "line 2 .*never made"),
        (b'{"answer": "1"}', "line 2 .*never made"),
        (b'{"answer": [1]}', "line 2 .*never made"),
        (b"\xff" * 5000, "line 2 .*is longer than the 4096 bytes of line_limit"),
    ],
    ids=range(9),
)
async def test_a_wrong_line_ends_the_channel(line: bytes, why: str) -> None:
    """The error names line and reason and shows it, shortened; what came before was heard."""
    command = writer(b'{"type": "ready"}\n' + line + b"\n" + b'{"type": "nothing"}\n')
    async with ParentChannel(command, line_limit=4096) as channel:
        ready = asyncio.ensure_future(channel.listen_once("ready"))
        listening = asyncio.ensure_future(channel.listen_once("nothing"))
        with pytest.raises(ChannelClosed, match=f"(?s)request 'never' failed: {why}") as closed:
            await channel.request("never")
        await ready
        with pytest.raises(ChannelClosed, match=f"(?s)waiting for 'nothing' failed: {why}"):
            await listening
        assert len(str(closed.value)) < 1000
        assert not channel.active


async def test_a_wrong_line_leaves_the_child_alone() -> None:
    """A child that does not look at its channel any more lives on until it is destroyed."""
    channel = ParentChannel(writer(b"Hello, world!\n", then="stay"))
    with pytest.raises(ChannelClosed, match="is not JSON"):
        await channel.listen_once("x")
    assert not channel.active
    assert channel.alive
    await channel.destroy(grace=0)
    assert not channel.alive


async def test_a_line_that_never_ends_ends_the_channel() -> None:
    """Nothing is collected beyond the limit."""
    async with ParentChannel(writer(b"a" * 100_000), line_limit=4096) as channel:
        with pytest.raises(ChannelClosed, match="longer than the 4096 bytes"):
            await channel.listen_once("x")


async def test_a_child_that_dies_in_the_middle_of_a_line_is_told() -> None:
    """The beginning of the line is evidence."""
    async with ParentChannel(writer(b'{"type": "rea', then="end")) as channel:
        with pytest.raises(
            ChannelClosed, match=r"in the middle of a line: '\{\"type\": \"rea'.*line feed"
        ) as closed:
            await channel.listen_once("ready")
        assert "never wrote" not in str(closed.value)


async def test_empty_lines_mean_nothing() -> None:
    """Neither they nor the ends of lines of other systems do any harm."""
    async with ParentChannel(writer(b'\n\r\n  \n{"type": "ready"}\r\n')) as channel:
        assert await channel.listen_once("ready") is None


async def test_content_that_cannot_be_sent_fails_at_the_call() -> None:
    """Nothing is sent, and the channel goes on."""
    async with served(line_limit=4096) as channel:
        for content in ({1, 2}, "x" * 5000):
            with pytest.raises(SerializationError, match="content of 'echo'"):
                channel.send("echo", content)
            with pytest.raises(SerializationError, match="content of 'echo'"):
                await channel.request("echo", content)
        with pytest.raises(RequestFailed, match=r"(?s)SerializationError.*line_limit"):
            await channel.request("double", "x" * 3000)
        assert await channel.request("double", 1) == 2


async def test_a_pickle_that_cannot_be_loaded_is_the_messages_error() -> None:
    """The asker gets it; a message is dropped, and the event loop's exception handler is told."""
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    lines = [{"type": "x", "pickled": "bm8="}, {"answer": 1, "pickled": "bm8="}]
    data = "".join(json.dumps(line) + "\n" for line in lines).encode()
    async with ParentChannel(writer(data), pickled=True) as channel:
        with pytest.raises(SerializationError, match=r"answer to 'x'.*cannot be unpickled"):
            await channel.request("x")
        assert channel.active
    assert "'x' was dropped" in told[0]["message"]


async def test_a_command_that_does_not_exist_fails_at_once() -> None:
    """Where the channel is made, not at the first wait."""
    with pytest.raises(WorkerStartError, match="'no-such-program' is in any folder of PATH"):
        ParentChannel("no-such-program --help")


async def test_a_process_without_a_channel_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Started by hand, or with a descriptor that is none."""
    with pytest.raises(ChannelClosed, match=r"not started by a ParentChannel"):
        ChildChannel()
    read_end, write_end = os.pipe()
    for wrong in ("12345", "x", str(read_end)):
        monkeypatch.setenv("WORKPOOL_CHANNEL_FD", wrong)
        with pytest.raises(ChannelClosed, match=f"WORKPOOL_CHANNEL_FD is '{wrong}'"):
            ChildChannel()
    os.close(read_end)
    os.close(write_end)


async def test_a_channel_is_taken_once() -> None:
    """A second ChildChannel of the process does not tear lines from the first."""
    async with ParentChannel(children.command(children.without_channel)) as channel:
        kind, text = await channel.listen_once("error")
        assert kind == "ChannelClosed"
        assert "has taken its channel already" in text


async def test_a_parent_that_breaks_the_format_ends_the_childs_channel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The child's side refuses what the parent's does; here both are in one process."""
    ours, theirs = socket.socketpair()
    monkeypatch.setenv("WORKPOOL_CHANNEL_FD", str(theirs.detach()))
    with ours:
        async with ChildChannel() as channel:
            ours.sendall(b"nonsense\n")
            with pytest.raises(ChannelClosed, match=r"line 1 of the parent is not JSON"):
                await channel.request("x")


async def test_errors_survive_pickling() -> None:
    """They are raised in workers of a pool too."""
    async with served() as channel:
        channel.send("exit", 3)
        await channel.closed()
        with pytest.raises(ChannelClosed) as closed:
            channel.send("x")
    back = pickle.loads(pickle.dumps(closed.value))
    assert (str(back), back.exit_code) == (str(closed.value), 3)
