"""Reading and writing without blocking the event loop."""

from __future__ import annotations

import asyncio
import os
from contextlib import closing, nullcontext

import pytest

from workpool.cli._descriptors import WRITE_BYTES, ChunkReader, LineWriter


class Listener:
    """What a writer has told."""

    def __init__(self) -> None:
        self.lines = 0
        self.size = 0
        self.errors: list[OSError] = []
        self.told = asyncio.Event()

    def note_written(self, lines: int, size: int) -> None:
        self.lines += lines
        self.size += size

    def note_error(self, error: OSError) -> None:
        self.errors.append(error)
        self.told.set()


def listened_writer(descriptor: int) -> tuple[LineWriter, Listener]:
    writer, listener = LineWriter(descriptor, around=nullcontext), Listener()
    writer.report_to(listener.note_written, listener.note_error)
    return writer, listener


async def test_a_chunk_arrives_without_waiting_for_more() -> None:
    """An interactive producer's line is there before the stream goes on."""
    read_end, write_end = os.pipe()
    with closing(ChunkReader(read_end)) as reader:
        os.write(write_end, b"one\n")
        assert await reader.read() == b"one\n"
        os.close(write_end)
        assert await reader.read() == b""


async def test_waiting_for_input_does_not_block_the_loop() -> None:
    """Other callbacks run while nothing is there to read."""
    read_end, write_end = os.pipe()
    with closing(ChunkReader(read_end)) as reader:
        reading = asyncio.ensure_future(reader.read())
        asyncio.get_running_loop().call_soon(os.write, write_end, b"x")
        assert await reading == b"x"
        os.close(write_end)
        assert await reader.read() == b""


async def test_nothing_is_read_ahead() -> None:
    """Bounded memory begins here: what is not asked for stays in the pipe."""
    read_end, write_end = os.pipe()
    spare = os.dup(read_end)
    os.write(write_end, b"kept")
    with closing(ChunkReader(read_end)):
        await asyncio.sleep(0)
    assert os.read(spare, 10) == b"kept"
    os.close(spare)
    os.close(write_end)


async def test_an_error_of_reading_is_raised() -> None:
    """A descriptor that cannot be read fails the read, not the thread."""
    directory = os.open("/", os.O_RDONLY)
    with closing(ChunkReader(directory)) as reader, pytest.raises(IsADirectoryError):
        await reader.read()


async def test_a_nonblocking_descriptor_is_waited_for() -> None:
    """Another program may have made the shared pipe non-blocking."""
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    with closing(ChunkReader(read_end)) as reader:
        reading = asyncio.ensure_future(reader.read())
        asyncio.get_running_loop().call_soon(os.write, write_end, b"x")
        assert await reading == b"x"
    os.close(write_end)


async def test_lines_are_written_in_order_and_counted() -> None:
    """Everything put is written once, also what came during a write."""
    read_end, write_end = os.pipe()
    writer, listener = listened_writer(write_end)
    with closing(writer):
        writer.put([b"1\n", b"2\n"])
        await asyncio.sleep(0)
        writer.put([b"3\n"])
        await writer.flush()
    assert os.read(read_end, 100) == b"1\n2\n3\n"
    assert (listener.lines, listener.size) == (3, 6)
    os.close(read_end)
    os.close(write_end)


async def test_a_consumer_that_does_not_read_does_not_block_the_loop() -> None:
    """More than a pipe holds is put, and the loop goes on to read it itself."""
    read_end, write_end = os.pipe()
    writer, listener = listened_writer(write_end)
    data = [b"x" * 1000] * (2 * WRITE_BYTES // 1000)
    with closing(writer), closing(ChunkReader(read_end)) as reader:
        writer.put(data)
        received = 0
        while received < 1000 * len(data):
            received += len(await reader.read())
        await writer.flush()
        os.close(write_end)
    assert listener.lines == len(data)


async def test_a_closed_pipe_is_told_once_and_ends_the_writing() -> None:
    """What is put afterwards is dropped, and a flush does not wait for it."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    writer, listener = listened_writer(write_end)
    with closing(writer):
        writer.put([b"x"])
        await listener.told.wait()
        writer.put([b"y"])
        await writer.flush()
    assert [type(error) for error in listener.errors] == [BrokenPipeError]
    os.close(write_end)
