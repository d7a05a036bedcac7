"""What a run puts into the benchmark's page."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import page
from benchmarks.guard import judge


def test_tables_take_the_place_of_those_of_the_last_run(tmp_path: Path) -> None:
    """What is before and behind them stays."""
    path = tmp_path / "page.md"
    path.write_text("before\n<!-- table -->\nold\n<!-- /table -->\nbehind\n")
    page.insert("table", "new", path)
    assert path.read_text() == "before\n<!-- table -->\n\nnew\n\n<!-- /table -->\nbehind\n"


def test_a_page_without_a_place_is_told(tmp_path: Path) -> None:
    """And it is not changed."""
    path = tmp_path / "page.md"
    path.write_text("<!-- table --> and no end")
    with pytest.raises(ValueError, match="/table"):
        page.insert("table", "new", path)
    assert path.read_text() == "<!-- table --> and no end"


@pytest.mark.parametrize("mark", ["table", "scale"])
def test_the_page_has_a_place_for_each_run(mark: str) -> None:
    """Otherwise the last step of a long run would fail."""
    text = page.README.read_text()
    assert text.index(f"<!-- {mark} -->") < text.index(f"<!-- /{mark} -->")


def test_the_page_names_the_bound_of_the_quick_form() -> None:
    """The page says what the check does."""
    assert f"less than {judge.FALLEN:g} of that" in page.README.read_text()
