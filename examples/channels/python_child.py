"""A child that answers: started by parent.py.

It also tells of its progress, with messages that nobody has to answer.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from workpool.channels import ChildChannel


async def main() -> None:
    """Serve until the parent has enough."""
    async with ChildChannel() as channel:

        async def count_words(path: str) -> int:
            words = 0
            with Path(path).open(encoding="utf-8") as file:
                for number, line in enumerate(file, start=1):
                    words += len(line.split())
                    if number % 100 == 0:
                        channel.send("progress", {"path": path, "lines": number})
                        await asyncio.sleep(0)  # other requests go on meanwhile
            return words

        channel.listen_for("count_words", count_words)
        channel.send("ready", {"pid": os.getpid()})
        await channel.closed()


asyncio.run(main())
