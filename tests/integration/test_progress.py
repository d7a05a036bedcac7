"""The progress bar of whole sources, on every face that takes any."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from tests.children import double
from workpool import WorkerPool, sync

METHODS = ["map", "map_unordered", "process"]


class Widget(nullcontext[None]):
    """Stands for a notebook's place of output."""

    def clear_output(self, *, wait: bool) -> None:
        """Forget what was shown."""


@pytest.mark.parametrize("method", METHODS)
async def test_a_bar_in_an_asyncio_program(method: str, capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, with the label and how far things are; the results are what they were."""
    async with WorkerPool(double, max_workers=1) as pool:
        run: Any = getattr(pool, method)([1, 2, 3], progress="doubling")
        if method == "process":
            assert (await run).completed == 3
        else:
            assert sorted([result async for result in run]) == [2, 4, 6]
    out, err = capsys.readouterr()
    assert out == ""
    for part in ("doubling", "3/3"):
        assert part in err


@pytest.mark.parametrize("method", METHODS)
def test_a_bar_in_a_program_without_asyncio(
    method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As above; the source may not know its length."""
    with sync.WorkerPool(double, max_workers=1) as pool:
        run: Any = getattr(pool, method)(iter([1, 2, 3]), progress=True)
        if method == "process":
            assert run.completed == 3
        else:
            assert sorted(run) == [2, 4, 6]
    shown = capsys.readouterr().err
    assert "3/3" in shown
    assert not shown.startswith(" ")  # where a label would be


async def test_a_label_is_shown_as_it_is_and_nothing_else_asks_for_a_bar(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A label is no markup; None is no bar; what is neither a yes or no nor a label is refused."""
    async with WorkerPool(double, max_workers=1) as pool:
        for label in ("[/tmp]", "files [a-z] [red]"):
            await pool.process([1], progress=label)
            assert label in capsys.readouterr().err
        await pool.process([1], progress=None)
        assert [result async for result in pool.map([1], progress=None)] == [2]
        wrong: list[Any] = [0, 5, b"x"]
        for progress in wrong:
            for start in (pool.process, pool.map, pool.map_unordered):
                with pytest.raises(TypeError, match="progress must be"):
                    run: Any = start([1], progress=progress)
                    await run  # of `process`
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("method", ["map", "map_unordered"])
async def test_leaving_a_loop_early_takes_the_bar_down(
    method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It shows how far things were, and the source is read no further."""
    async with WorkerPool(double, max_workers=1) as pool:
        results: Any = getattr(pool, method)(range(1000), buffer=10, progress=True)
        async for _ in results:
            break
        await results.aclose()
        await pool.when_idle()
        assert pool.statistics().completed < 1000
    assert "1/1000" in capsys.readouterr().err
    with sync.WorkerPool(double, max_workers=1) as blocking:
        for _ in getattr(blocking, method)(range(1000), buffer=10, progress=True):
            break
    assert "1/1000" in capsys.readouterr().err


async def test_a_failure_leaves_the_bar_where_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    """What a task, and what the source, raises comes out as without a bar."""

    async def source() -> AsyncIterator[Any]:
        yield 1
        raise LookupError("the source")

    async with WorkerPool(double, max_workers=1) as pool:
        failing: list[tuple[Any, type[Exception]]] = [
            ([1, None], TypeError),
            (source(), LookupError),
        ]
        for items, kind in failing:
            with pytest.raises(kind):
                async for result in pool.map(items, progress=True):
                    assert result == 2
            assert "1/" in capsys.readouterr().err


@pytest.mark.parametrize("method", METHODS)
async def test_a_bar_in_a_notebook(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is shown as a widget, whose last state is the end."""
    displayed: list[str] = []
    display = SimpleNamespace(
        display=lambda thing: displayed.append(getattr(thing, "text", "widget"))
    )
    widgets = SimpleNamespace(Output=Widget)
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    for name, module in {"IPython.display": display, "ipywidgets": widgets}.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(display=display))
    async with WorkerPool(double, max_workers=1) as pool:
        run: Any = getattr(pool, method)([1, 2, 3], progress="doubling")
        if method == "process":
            await run
        else:
            assert sorted([result async for result in run]) == [2, 4, 6]
    assert "widget" in displayed
    assert "3/3" in [text for text in displayed if "doubling" in text][-1]


@pytest.mark.parametrize("method", METHODS)
async def test_without_rich_the_call_says_what_to_install(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the call, before anything is read."""
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.delitem(sys.modules, "workpool._progress_bar", raising=False)
    async with WorkerPool(double, max_workers=1) as pool:
        with pytest.raises(ImportError, match=r"workpool\[progress\]"):
            run: Any = getattr(pool, method)(iter([1]), progress=True)
            await run  # of `process`
        with sync.WorkerPool(double) as blocking, pytest.raises(ImportError, match="progress"):
            getattr(blocking, method)(iter([1]), progress=True)
