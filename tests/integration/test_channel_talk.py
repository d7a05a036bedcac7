"""Conversations: messages, requests and answers between a parent and a real child."""

from __future__ import annotations

import asyncio
import math
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import channel_children as children
from tests.channel_children import Unusual
from workpool import RequestFailed, WorkerTraceback
from workpool.channels import ParentChannel


@asynccontextmanager
async def served(**options: Any) -> AsyncIterator[ParentChannel]:
    """Yield the channel to a child that is ready to serve."""
    async with ParentChannel(children.command(children.serve), **options) as channel:
        assert await channel.listen_once("ready", timeout=20) == channel.id
        yield channel


async def test_a_request_is_answered_with_what_the_handler_returns() -> None:
    """Content goes and comes as JSON has it; the parent's id is the child's process."""
    async with served() as channel:
        assert channel.active
        assert channel.alive
        for content in (21, "ab", [1, {"a": None}], 0.5, True, "ü\u2028\n\0", ""):
            assert await channel.request("echo", content) == content
        assert await channel.request("double", 21) == 42
        assert await channel.request("echo") is None
        assert await channel.request("type", (1, 2)) == "list"


async def test_large_content_comes_whole() -> None:
    """Several megabytes, many times what the kernel buffers."""
    text = "0123456789" * 500_000
    async with served() as channel:
        assert await channel.request("echo", text) == text


async def test_pickled_content_is_what_it_was_where_the_parent_asks_for_it() -> None:
    """Sets, bytes, tuples and classes travel between Python processes."""
    async with served(pickled=True) as channel:
        for content in ({1, 2}, b"\0\xff", (1, 2), Path("/x"), math.nan):
            back = await channel.request("echo", content)
            assert type(back) is type(content)
            assert repr(back) == repr(content)
        assert await channel.request("set") == {1, 2}


async def test_an_exception_comes_as_itself_when_pickled() -> None:
    """With its attributes, and the child's traceback as its cause; in JSON as text."""
    async with served(pickled=True) as channel:
        with pytest.raises(Unusual) as raised:
            await channel.request("raise", "Unusual")
        assert raised.value.count == 3
        assert isinstance(raised.value.__cause__, WorkerTraceback)
    async with served() as channel:
        with pytest.raises(RequestFailed, match=r"'raise'.*Unusual.*odd") as failed:
            await channel.request("raise", "Unusual")
        assert failed.value.error_type.endswith("Unusual")
        assert "in _raise" in str(failed.value.__cause__)


@pytest.mark.parametrize("name", ["ValueError", "StopIteration"])
@pytest.mark.parametrize("pickled", [False, True])
async def test_a_handler_that_raises_fails_its_request_alone(name: str, pickled: bool) -> None:
    """The asker is told type and text; the channel goes on."""
    async with served(pickled=pickled) as channel:
        with pytest.raises((RequestFailed, ValueError), match=f"no {name}"):
            await channel.request("raise", name)
        assert await channel.request("double", 1) == 2


async def test_a_request_nobody_listens_for_fails_at_once() -> None:
    """The error says what is listened for, so that a misspelt type is found."""
    async with served() as channel:
        with pytest.raises(RequestFailed, match=r"'dobule'.*listens for 'double'") as failed:
            await channel.request("dobule", 1)
        assert failed.value.error_type == "NoHandler"


async def test_an_answer_that_cannot_be_sent_fails_its_request() -> None:
    """The handler has returned something JSON does not know."""
    async with served() as channel:
        with pytest.raises(RequestFailed, match=r"SerializationError.*answer to 'set'"):
            await channel.request("set")
        assert await channel.request("double", 1) == 2


async def test_order_is_kept_both_ways() -> None:
    """A thousand messages arrive as they were sent, also where sync and async handlers alternate."""
    numbers: list[int] = []
    async with served() as channel:
        channel.listen_for("number", numbers.append)
        await channel.request("count", 1000)
        assert numbers == list(range(1000))
    async with ParentChannel(children.command(children.collect)) as channel:
        await channel.listen_once("ready")
        for number in range(1000):
            channel.send("note" if number % 2 else "note later", number)
        assert await channel.request("notes") == list(range(1000))


async def test_one_wait_after_the_other_misses_nothing() -> None:
    """Whoever is woken by a line can wait for the next before that is handled, in one stretch too."""
    async with ParentChannel(children.command(children.talk_fast)) as channel:
        assert await channel.request("say all", 0) == "said"
        asking = asyncio.ensure_future(channel.request("say all", 500))
        for number in range(500):
            assert await channel.listen_once(f"number {number}") == number
        assert await asking == "said"


async def test_requests_run_side_by_side() -> None:
    """Many questions are open at a time, each gets its own answer, and a slow one holds up none."""
    async with served() as channel:
        never = asyncio.ensure_future(channel.request("never"))
        answers = await asyncio.gather(*(channel.request("double", n) for n in range(500)))
        assert answers == [2 * n for n in range(500)]
        assert not never.done()
        never.cancel()


async def test_the_child_can_ask_the_parent_while_it_is_asked() -> None:
    """Questions cross; sync and async handlers of the parent answer."""

    async def answer_later(content: int) -> int:
        await asyncio.sleep(0)
        return content + 1

    async with served() as channel:
        channel.listen_for("question", answer_later)
        assert await channel.request("ask", 1) == 2
        assert await asyncio.gather(*(channel.request("ask", n) for n in range(50))) == list(
            range(1, 51)
        )
    async with ParentChannel(children.command(children.talk_at_once)) as channel:
        channel.listen_for("question", lambda _: channel.request("answer"))
        assert await channel.listen_once("got") == 42


async def test_everybody_who_listens_hears_and_the_first_answers() -> None:
    """Handlers are called in their order; one that is removed is not called any more."""
    heard: list[str] = []
    async with served() as channel:

        def handler(name: str) -> Any:
            return lambda content: heard.append(f"{name} {content}") or name  # type: ignore[func-returns-value]

        first, second = handler("first"), handler("second")
        channel.listen_for("question", first)
        channel.listen_for("question", second)
        once = asyncio.ensure_future(channel.listen_once("question"))
        assert await channel.request("ask", 1) == "first"
        assert await once == 1
        channel.remove_listener("question", first)
        assert await channel.request("ask", 2) == "second"
        assert heard == ["first 1", "second 1", "second 2"]
        with pytest.raises(ValueError, match="not registered"):
            channel.remove_listener("question", first)


async def test_listen_once_hears_one_message() -> None:
    """The next one of its type; all who wait for it hear it."""
    async with served() as channel:
        channel.send("count", 3)
        waits = [asyncio.ensure_future(channel.listen_once("number")) for _ in range(2)]
        assert await asyncio.gather(*waits) == [0, 0]


async def test_a_handler_of_a_message_that_raises_is_told_to_the_event_loop() -> None:
    """Nobody asked, so nobody else can be told; the channel goes on."""
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    async def fail_later(number: int) -> None:
        raise ValueError(f"later {number}")

    def fail(number: int) -> None:
        raise ValueError(f"now {number}")

    async with served() as channel:
        channel.listen_for("number", fail)
        channel.listen_for("number", fail_later)
        await channel.request("count", 1)
        while len(told) < 2:
            await asyncio.sleep(0.01)
    assert [str(context["exception"]) for context in told] == ["now 0", "later 0"]
    assert "'number'" in told[0]["message"]


async def test_environment_and_folder_are_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`env` is added to the parent's; the child does not hand its channel on."""
    monkeypatch.setenv("OURS", "parent")
    async with served(env={"THEIRS": "child"}, cwd=tmp_path) as channel:
        assert await channel.request("environment", "THEIRS") == "child"
        assert await channel.request("environment", "OURS") == "parent"
        assert await channel.request("environment", "WORKPOOL_CHANNEL_FD") is None
        assert await channel.request("where") == os.path.realpath(tmp_path)


async def test_output_goes_where_the_parent_says(capsys: pytest.CaptureFixture[str]) -> None:
    """Line by line to a function, or through the parent's own streams."""
    lines: list[tuple[str, str]] = []
    async with served(output=lambda stream, line: lines.append((stream, line))) as channel:
        await channel.request("print", "one\ntwo")
    assert lines == [("stderr", "one"), ("stderr", "two"), ("stdout", "served")]
    async with served(output="forward") as channel:
        await channel.request("print", "three")
    printed = capsys.readouterr()
    program = Path(sys.executable).name
    assert printed.err == f"[{program}] three\n"
    assert printed.out == f"[{program}] served\n"


async def test_a_command_may_be_text() -> None:
    """It is split as a shell's would be, but no shell runs it."""
    lines: list[str] = []
    async with ParentChannel(
        "printf '%s|' 'a b' $HOME", output=lambda _, line: lines.append(line)
    ) as channel:
        await channel.closed()
    assert lines == ["a b|$HOME|"]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"command": 5}, TypeError),
        ({"command": []}, ValueError),
        ({"command": ""}, ValueError),
        ({"command": "it's"}, ValueError),
        ({"command": ["a\0b"]}, ValueError),
        ({"command": [5]}, TypeError),
        ({"command": b"true"}, TypeError),
        ({"timeout": 0}, ValueError),
        ({"timeout": math.nan}, ValueError),
        ({"timeout": "5"}, TypeError),
        ({"line_limit": 100}, ValueError),
        ({"output": "discard"}, ValueError),
        ({"env": {"A": 5}}, TypeError),
        ({"env": 5}, TypeError),
        ({"pickled": "no"}, TypeError),
        ({"env": {"A=B": "x"}}, ValueError),
    ],
)
async def test_wrong_options_are_refused_before_anything_starts(
    options: dict[str, Any], error: type[Exception]
) -> None:
    """One clear sentence, and no process."""
    with pytest.raises(error):
        ParentChannel(**{"command": "true", **options})


async def test_wrong_uses_are_refused() -> None:
    """Types are text, handlers can be called, times are above 0."""
    async with served() as channel:
        with pytest.raises(TypeError, match="must be text"):
            channel.send(5)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="callable"):
            channel.listen_for("x", 5)  # type: ignore[arg-type]
        for timeout in (0, -1, math.nan):
            with pytest.raises(ValueError, match="timeout"):
                await channel.request("double", 1, timeout)
        with pytest.raises(ValueError, match="grace"):
            await channel.destroy(grace=-1)


def test_a_channel_needs_an_event_loop() -> None:
    """Outside of a coroutine the error says where to make it."""
    with pytest.raises(RuntimeError, match=r"coroutine.*async with ParentChannel"):
        ParentChannel("true")
