"""Print a command of the README: `python3 tools/readme_command.py NAME`.

The command is the fenced block that follows the line `<!-- command: NAME -->`, exactly as it
stands there. What checks the README runs what this prints, so the two cannot differ.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def command(name: str) -> str:
    """Return the text of the block marked `NAME`; raise `SystemExit` if there is not exactly one."""
    block = rf"^<!-- command: {re.escape(name)} -->\n+```\w*\n(.*?)^```$"
    found = re.findall(block, README.read_text(), re.MULTILINE | re.DOTALL)
    if len(found) != 1:
        raise SystemExit(f"{README.name} marks {len(found)} commands {name!r}: it must mark one")
    return str(found[0])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: readme_command.py NAME")
    print(command(sys.argv[1]), end="")
