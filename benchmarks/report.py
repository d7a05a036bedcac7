"""Tables in Markdown, and the numbers in them."""

from collections.abc import Sequence
from math import isnan

NOTHING = "-"


def number(value: float, digits: int) -> str:
    """Return a number with so many digits behind the point, a dash for NaN."""
    return NOTHING if isnan(value) else f"{value:,.{digits}f}"


def significant(value: float) -> str:
    """Return a number with at least three digits that count."""
    return number(value, 0 if value >= 100 else 1 if value >= 10 else 3)


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table that is aligned for the terminal too; empty without rows."""
    if not rows:
        return ""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    lines = [headings, *rows]
    texts = [
        "| "
        + " | ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        + " |"
        for line in lines
    ]
    rule = "|".join(
        ("-" * (width + 2)) if index == 0 else ("-" * (width + 1) + ":")
        for index, width in enumerate(widths)
    )
    return "\n".join([texts[0], f"|{rule}|", *texts[1:]])
