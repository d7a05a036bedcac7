"""What is decided before a run begins: who begins, what is known, how much memory there is."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from workpool.pytest_plugin import _early_plan, _memory
from workpool.pytest_plugin._early_plan import plan_early
from workpool.pytest_plugin._forecast import Forecast, foresee
from workpool.pytest_plugin._options import Options
from workpool.pytest_plugin._stages import Stages

KNOWN = {
    "a/test_1.py::test_x[1]": 0.25,
    "a/test_1.py::test_xy": 0.5,
    "a/b/test_2.py::T::test_m": 1.0,
}


def config(root: Path, *arguments: str, folder: Path | None = None, **known: Any) -> Any:
    """Return as much of a configuration as is looked at."""
    given = Namespace(
        file_or_dir=list(arguments), pyargs=False, cacheclear=False, workpool_slow=None
    )
    vars(given).update(known)
    return SimpleNamespace(
        known_args_namespace=given,
        rootpath=root,
        invocation_params=SimpleNamespace(dir=folder or root),
        getini={"cache_dir": "cache", "workpool_slow": ""}.__getitem__,
        pluginmanager=SimpleNamespace(has_plugin=lambda _name: True),
    )


def remember(root: Path, **values: Any) -> None:
    """Write values into the cache."""
    folder = root / "cache" / "v" / "workpool"
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        (folder / name).write_text(value if isinstance(value, str) else json.dumps(value))


def test_workers_begin_in_stages() -> None:
    """The first few at once, the others for as many tests as there are, and never more than there may be."""
    stages = Stages(4, 1, is_known=False)
    assert (list(stages.due()), stages.is_over) == ([0], False)
    assert list(stages.due()) == []
    stages.collected(3)
    stages.collected(2)
    assert list(stages.due()) == [1, 2]
    stages.want_all()
    assert (list(stages.due()), stages.is_over) == ([3], True)
    assert list(Stages(2, 0, is_known=True).due()) == [0]
    assert list(Stages(2, sys.maxsize, is_known=True).due()) == [0, 1]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), (3, 1.75)),
        (("a",), (3, 1.75)),
        (("a/b", "a/b/test_2.py"), (1, 1.0)),
        (("a/test_1.py::test_x",), (1, 0.25)),
        (("a/test_1.py::test_x[1]", "a/test_1.py::test_xy"), (2, 0.75)),
        (("a/b/test_2.py::T",), (1, 1.0)),
        (("a/test",), None),
        (("a/b", "c"), None),
        (("../elsewhere",), None),
    ],
)
def test_what_is_known_of_the_tests_that_were_asked_for(
    tmp_path: Path, arguments: tuple[str, ...], expected: tuple[int, float] | None
) -> None:
    """The whole of a name counts; where one of the arguments is new, nothing is known."""
    remember(tmp_path, durations=KNOWN)
    forecast = foresee(config(tmp_path, *arguments))
    assert forecast == (expected and Forecast(*expected, is_safe=True))


def test_what_is_known_of_a_folder_and_of_tests_that_were_lost(tmp_path: Path) -> None:
    """A run from within a folder has that folder's; a test that was lost counts where it is one of them."""
    remember(tmp_path, durations=KNOWN, lost=["a/b/test_2.py::T::test_m"])
    (tmp_path / "a" / "b").mkdir(parents=True)
    inside = foresee(config(tmp_path, folder=tmp_path / "a" / "b"))
    assert inside == Forecast(1, 1.0, is_safe=False)
    assert foresee(config(tmp_path, "a/test_1.py")) == Forecast(2, 0.75, is_safe=True)
    remember(tmp_path, lost=[""])
    assert foresee(config(tmp_path, "a/test_1.py")) == Forecast(2, 0.75, is_safe=False)
    remember(tmp_path, set_ups={"a/test_1.py": 2.0, "a/b/test_2.py x=1": 4.0})
    for argument, seconds in (("a/test_1.py::test_xy", 2.5), ("a/b/test_2.py", 5.0), (".", 7.75)):
        known = foresee(config(tmp_path, argument))
        assert known is not None
        assert known.seconds == seconds


def test_nothing_to_go_by(tmp_path: Path) -> None:
    """Without a cache, before it is cleared, with nonsense in it; of very many tests it is known that they are."""
    assert foresee(config(tmp_path)) is None
    for nonsense in ("", "[1]", "{", "{}"):
        remember(tmp_path, durations=nonsense)
        assert foresee(config(tmp_path)) is None
    remember(tmp_path, durations=KNOWN)
    assert foresee(config(tmp_path, cacheclear=True)) is None
    assert foresee(config(tmp_path, pyargs=True)) is None
    remember(tmp_path, durations={f"test_{n}.py::test": 0.0 for n in range(10_000)})
    many = foresee(config(tmp_path))
    assert many is not None
    assert (many.tests > 10_000, many.seconds > 1e9) == (True, True)


def test_no_more_workers_than_there_is_memory_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 'auto', going by what a worker had in the last run; one there is always."""
    options = Options(workers=8, is_auto=True, scope="auto", timeout=None)
    for available, expected in ((1000, 8), (499, 4), (5, 1), (None, 8)):
        monkeypatch.setattr(_early_plan, "available_bytes", lambda found=available: found)
        remember(tmp_path, memory=100)
        assert plan_early(config(tmp_path), options).workers == expected
    remember(tmp_path, memory="?")
    monkeypatch.setattr(_early_plan, "available_bytes", lambda: 5)
    assert plan_early(config(tmp_path), options).workers == 8
    asked = Options(workers=8, is_auto=False, scope="auto", timeout=None)
    remember(tmp_path, memory=100)
    assert plan_early(config(tmp_path), asked).workers == 8


def test_memory_is_what_the_machine_and_the_container_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The smallest of what is available, and of what each control group leaves; unlimited ones do not count."""
    monkeypatch.setattr(_memory, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(_memory, "_GROUPS", tmp_path / "groups")
    assert _memory.available_bytes() is None
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable: 8 kB\n")
    assert _memory.available_bytes() == 8192
    (tmp_path / "proc" / "self" / "cgroup").write_text("1:cpu:/x\n0::/outer/inner\n")
    inner = tmp_path / "groups" / "outer" / "inner"
    inner.mkdir(parents=True)
    (inner / "memory.max").write_text("max\n")
    (inner / "memory.current").write_text("1\n")
    (inner.parent / "memory.max").write_text("5000\n")
    (inner.parent / "memory.current").write_text("1000\n")
    assert _memory.available_bytes() == 4000
    (inner.parent / "memory.current").write_text("6000\n")
    assert _memory.available_bytes() == 0
    assert _memory.peak_bytes() > 1 << 20
