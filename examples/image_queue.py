"""A queue of images, fed by hand while earlier ones are being converted.

    python examples/image_queue.py

The conversion is a stand-in that needs no library: it halves an image in the plain PGM format.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from workpool import WorkerPool, WorkQueue


def halve(path: str) -> str:
    """Run in a worker process: write the image at half its size beside it, return its name."""
    _, size, depth, *rows = Path(path).read_text().splitlines()
    width, height = map(int, size.split())
    pixels = [list(map(int, row.split())) for row in rows]
    small = [[_mean(pixels, x, y) for x in range(0, width - 1, 2)] for y in range(0, height - 1, 2)]
    target = Path(path).with_suffix(".small.pgm")
    lines = ["P2", f"{len(small[0])} {len(small)}", depth, *(" ".join(map(str, r)) for r in small)]
    target.write_text("\n".join(lines))
    return target.name


def _mean(pixels: list[list[int]], x: int, y: int) -> int:
    return sum(pixels[y + dy][x + dx] for dy in (0, 1) for dx in (0, 1)) // 4


class ImageConverter:
    """Convert images that arrive one by one, in as many processes as there are CPUs."""

    def __init__(self) -> None:
        self._images: WorkQueue[str] = WorkQueue()

    def convert(self, *images: Path) -> None:
        """Have images converted; returns at once."""
        self._images.add(*map(str, images))

    def finish(self) -> None:
        """Say that no more images will come."""
        self._images.close()

    async def run(self) -> None:
        """Convert until `finish` has been called and everything is done."""
        async with WorkerPool[str, str](halve) as pool:
            async for converted in pool.map(self._images):
                print("converted", converted)


def draw(path: Path, side: int) -> Path:
    """Write a square image with a gradient."""
    rows = [" ".join(str((x + y) % 256) for x in range(side)) for y in range(side)]
    path.write_text("\n".join(["P2", f"{side} {side}", "255", *rows]))
    return path


async def main() -> None:
    """Play somebody who drops images into a folder while the converter runs."""
    converter = ImageConverter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        running = asyncio.create_task(converter.run())
        converter.convert(draw(folder / "first.pgm", 64))
        await asyncio.sleep(0)
        converter.convert(*(draw(folder / f"later-{n}.pgm", 32 * n) for n in (1, 2, 3)))
        converter.finish()
        await running


asyncio.run(main())
