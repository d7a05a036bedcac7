"""Hold the same conversation with a child in Python and one in Node.js.

python examples/channels/parent.py README.md CHANGELOG.md
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path
from typing import Any

from workpool import RequestFailed
from workpool.channels import ParentChannel

HERE = Path(__file__).parent
CHILDREN = {
    "Python": [sys.executable, str(HERE / "python_child.py")],
    "Node.js": ["node", str(HERE / "node_child.mjs")],
}


def show_progress(content: dict[str, Any]) -> None:
    print(f"  {content['lines']} lines of {content['path']}", file=sys.stderr)


async def count(language: str, paths: list[str]) -> None:
    """Have one child count the words of some files."""
    async with ParentChannel(CHILDREN[language]) as channel:
        channel.listen_for("progress", show_progress)
        await channel.listen_once("ready", timeout=10)
        for path in paths:
            try:
                words = await channel.request("count_words", path, timeout=10)
                print(f"{language}: {path} has {words} words")
            except RequestFailed as error:
                print(f"{language}: {path} cannot be counted: {error.error_type}")


async def main() -> None:
    """Ask each child whose interpreter there is."""
    for language, (program, _) in CHILDREN.items():
        if shutil.which(program):
            await count(language, sys.argv[1:] or [__file__])
        else:
            print(f"{language}: {program} is not installed")


asyncio.run(main())
