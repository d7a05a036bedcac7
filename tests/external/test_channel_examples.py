"""The examples of channels: a child in Python and one in Node.js, in the same conversation."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_examples import ENVIRONMENT
from tests.markdown import ROOT
from workpool import ChannelClosed, RequestFailed, WorkerPool, spawned_worker
from workpool.channels import ParentChannel

EXAMPLES = ROOT / "examples" / "channels"
CHILDREN = [
    pytest.param([sys.executable, str(EXAMPLES / "python_child.py")], id="Python"),
    pytest.param(["node", str(EXAMPLES / "node_child.mjs")], id="Node.js"),
]


@pytest.mark.parametrize("command", CHILDREN)
async def test_a_child_in_any_language_holds_the_conversation(
    command: list[str], tmp_path: Path
) -> None:
    """It says it is ready, answers, tells of its progress in order, fails as an error, and goes."""
    text = tmp_path / "text"
    text.write_text("zwei Wörter\n" * 300)
    progress: list[dict[str, object]] = []
    async with ParentChannel(command, timeout=20) as channel:
        channel.listen_for("progress", progress.append)
        assert await channel.listen_once("ready") == {"pid": channel.id}
        assert await channel.request("count_words", str(text)) == 600
        assert progress == [{"path": str(text), "lines": n} for n in (100, 200, 300)]
        with pytest.raises(RequestFailed, match=r"[Nn]o such file") as failed:
            await channel.request("count_words", "/no/such/file")
        assert failed.value.error_type
        assert failed.value.__cause__
        with pytest.raises(RequestFailed, match="nobody listens for"):
            await channel.request("unknown")
        await channel.destroy(grace=20)


@pytest.mark.parametrize("command", CHILDREN)
async def test_a_child_in_any_language_that_fails_leaves_evidence(
    command: list[str], tmp_path: Path
) -> None:
    """A child that cannot even start its work is known by its code and its last words."""
    broken = tmp_path / Path(command[1]).name
    broken.write_text("this is no program")
    async with ParentChannel([command[0], broken], output=lambda *_: None) as channel:
        with pytest.raises(ChannelClosed, match="SyntaxError") as closed:
            await channel.listen_once("ready", timeout=20)
        assert closed.value.exit_code == 1


async def test_a_program_in_node_is_a_worker_of_a_pool(tmp_path: Path) -> None:
    """The child of the examples, one per worker: results, errors as errors, in any number."""

    async def ready(channel: ParentChannel) -> None:
        await channel.listen_once("ready", timeout=20)

    async def count(channel: ParentChannel, path: str) -> Any:
        return await channel.request("count_words", path)

    child = spawned_worker(["node", str(EXAMPLES / "node_child.mjs")], init=ready, execute=count)
    (tmp_path / "text").write_text("three short words")
    async with WorkerPool(child, max_workers=2) as pool:
        assert [n async for n in pool.map([str(tmp_path / "text")] * 20)] == [3] * 20
        with pytest.raises(RequestFailed, match="no such file"):
            await pool.add_task("/no/such")
        assert await pool.add_task(str(tmp_path / "text")) == 3


def test_the_parent_of_the_examples_prints_what_it_should() -> None:
    """As it stands, without a warning, for every language there is."""
    finished = subprocess.run(
        [sys.executable, "-W", "error", "examples/channels/parent.py", "LICENSE", "/no/such"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=ENVIRONMENT,
        timeout=25,
    )
    words = len((ROOT / "LICENSE").read_text().split())
    assert finished.stderr == ""
    assert finished.stdout.splitlines()[:2] == [
        f"Python: LICENSE has {words} words",
        "Python: /no/such cannot be counted: FileNotFoundError",
    ]
    assert finished.stdout.splitlines()[2:] == [
        f"Node.js: LICENSE has {words} words",
        "Node.js: /no/such cannot be counted: Error",
    ]


def test_the_pool_of_programs_of_the_examples_prints_what_it_should() -> None:
    """As it stands, without a warning; each file has its own outcome."""
    finished = subprocess.run(
        [sys.executable, "-W", "error", "examples/channels/pool.py", "LICENSE", "/no/such"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=ENVIRONMENT,
        timeout=25,
    )
    words = len((ROOT / "LICENSE").read_text().split())
    assert finished.stderr == ""
    assert finished.stdout.splitlines() == [f"LICENSE: {words} words", "/no/such: Error"]


def image(color: bytes) -> bytes:
    """Return a PNG of one pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" + color)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.skipif(
    not (shutil.which("magick") or shutil.which("convert")),
    reason="ImageMagick is not installed (no 'magick' or 'convert' in PATH): NOT tested",
)
def test_images_are_converted_by_a_program_of_the_system(tmp_path: Path) -> None:
    """One command per image; one that fails is that image's error, with the program's own words."""
    colors = {"red.png": b"\xff\0\0", "blue.png": b"\0\0\xff"}
    for name, color in colors.items():
        (tmp_path / name).write_bytes(image(color))
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    paths = [str(tmp_path / name) for name in (*colors, "broken.png")]
    finished = subprocess.run(
        [sys.executable, "-W", "error", "examples/channels/images.py", *paths],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=ENVIRONMENT,
        timeout=25,
    )
    lines = finished.stdout.splitlines()
    assert lines[:2] == ["red.png: red.ppm", "blue.png: blue.ppm"], finished.stderr
    assert "broken.png: the command" in lines[2]
    for name, color in colors.items():
        assert (tmp_path / name).with_suffix(".ppm").read_bytes().endswith(color)
