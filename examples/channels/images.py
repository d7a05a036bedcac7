"""Convert images with a program of the system, one command per image, several at a time.

python examples/channels/images.py picture.png another.png

Needs ImageMagick (`magick`, or `convert` as it was called before version 7).
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

from workpool import WorkerPool
from workpool.channels import CommandRunner, spawned_worker


async def convert(runner: CommandRunner, path: str) -> str:
    """Write the image as PPM beside the original; return its name."""
    program = "magick" if shutil.which("magick") else "convert"
    result = await runner.run([program, path, "ppm:-"])
    target = Path(path).with_suffix(".ppm")
    target.write_bytes(result.stdout)
    return target.name


async def main() -> None:
    """Convert every image that is named; say what became of each."""
    converter = spawned_worker(None, execute=convert)
    async with WorkerPool(converter, max_workers=2) as pool:
        tasks = [pool.add_task(path) for path in sys.argv[1:]]
        for path, result in zip(
            sys.argv[1:], await asyncio.gather(*tasks, return_exceptions=True), strict=True
        ):
            print(f"{Path(path).name}: {result}")


asyncio.run(main())
