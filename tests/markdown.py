"""The fenced blocks of a Markdown page, with what an HTML comment just before one says of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\s*$")
_COMMENT = re.compile(r"^\s*<!--\s*(?P<text>.*?)\s*-->\s*$")


@dataclass(frozen=True)
class Block:
    """One fenced block: where it stands, its language, its text, the comment above it or ''."""

    page: Path
    line: int
    language: str
    text: str
    comment: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page in their order."""
    found = []
    comment = ""
    lines = enumerate(page.read_text().splitlines(), start=1)
    for number, line in lines:
        if fence := _FENCE.match(line):
            indent = len(fence["indent"])
            text = []
            for _, inner in lines:
                if inner.strip() == "```":
                    break
                text.append(inner[indent:])
            found.append(Block(page, number, fence["language"], "\n".join(text) + "\n", comment))
            comment = ""
        elif line.strip():
            said = _COMMENT.match(line)
            comment = said["text"] if said else ""
    return found
