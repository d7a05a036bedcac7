"""The pages that show what was measured."""

from __future__ import annotations

from pathlib import Path

README = Path(__file__).parent / "README.md"


def insert(mark: str, text: str, page: Path = README) -> None:
    """Put a text between `<!-- mark -->` and `<!-- /mark -->`, in the place of what is there.

    Raises `ValueError` if the page does not have both.
    """
    begin, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    before, found, rest = page.read_text().partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        raise ValueError(f"{page} has no place for {mark!r}: it wants {begin} and {end}")
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")
