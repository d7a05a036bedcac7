"""Count the words of text files, for ``workpool map``.

find docs src -name '*.md' -o -name '*.py' | workpool map examples/word_statistics.py:count
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

WORD = re.compile(r"[^\W\d_]+")
TOO_SHORT = 4


@dataclass
class Statistics:
    """What is said about one file; the command line writes it as a JSON object."""

    file: str
    lines: int
    words: int
    distinct: int
    longest: str
    frequent: dict[str, int]


def count(path: str) -> Statistics:
    """Return the word statistics of a text file; short words are not among the frequent ones."""
    text = Path(path).read_text(encoding="utf-8", errors="replace")
    words = Counter(match.lower() for match in WORD.findall(text))
    telling = Counter({word: number for word, number in words.items() if len(word) >= TOO_SHORT})
    return Statistics(
        file=path,
        lines=text.count("\n"),
        words=words.total(),
        distinct=len(words),
        longest=max(words, key=lambda word: (len(word), word), default=""),
        frequent=dict(sorted(telling.items(), key=lambda item: (-item[1], item[0]))[:5]),
    )
