"""What a worker has imported: as little as it needs, seen from inside a live one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from workpool import WorkerPool

BARE = "import sys\ndef run(arg): return sorted(sys.modules)\n"
BARE_ASYNC = "import sys\nasync def run(arg): return sorted(sys.modules)\n"

# Dear, or of the parent's side; nothing that a worker does before its first task needs any of them.
HEAVY = {
    "asyncio",
    "ast",
    "cloudpickle",
    "concurrent.futures",
    "contextlib",
    "ctypes",
    "dataclasses",
    "dis",
    "inspect",
    "json",
    "logging",
    "multiprocessing",
    "pathlib",
    "random",
    "selectors",
    "subprocess",
    "tempfile",
    "threading",
    "traceback",
    "typing",
    "weakref",
}
CHILDREN = "batch_children, children, chunk_children, recycling_children, requests_children"
PARENT_SIDE = {
    "workpool._costs",
    "workpool._dispatcher",
    "workpool._engine",
    "workpool._entrypoint",
    "workpool._fleet",
    "workpool._interrupts",
    "workpool._ledger",
    "workpool._main_thread",
    "workpool._map",
    "workpool._options",
    "workpool._outcomes",
    "workpool._output",
    "workpool._pool",
    "workpool._scheduler",
    "workpool._statistics",
    "workpool._system.process",
    "workpool._system.token_queue",
    "workpool._task",
    "workpool._work_queue",
    "workpool._worker_crashed",
    "workpool._worker_handle",
    "workpool._worker_process",
}


async def modules_in_a_worker(source: str, tmp_path: Path, patch: pytest.MonkeyPatch) -> set[str]:
    """Run a module of this source in a worker and return what is imported there."""
    (tmp_path / "bare_entrypoint.py").write_text(source)
    patch.syspath_prepend(str(tmp_path))
    async with WorkerPool[Any, list[str]]("bare_entrypoint:run", max_workers=1) as pool:
        return set(await pool.add_task(None))


async def test_a_sync_worker_imports_next_to_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither asyncio nor anything else that is dear, and nothing of the parent's side."""
    modules = await modules_in_a_worker(BARE, tmp_path, monkeypatch)
    bare = modules_of_a_bare_interpreter()
    assert modules & (HEAVY - bare) == set()
    assert modules & PARENT_SIDE == set()
    assert len(modules - bare) < 61


async def test_an_async_worker_imports_nothing_of_the_parent_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It pays for asyncio, and for nothing that belongs to the pool."""
    modules = await modules_in_a_worker(BARE_ASYNC, tmp_path, monkeypatch)
    bare = modules_of_a_bare_interpreter()
    assert "asyncio" in modules
    assert modules & PARENT_SIDE == set()
    assert modules & ({"cloudpickle", "multiprocessing"} - bare) == set()


def test_what_tests_run_in_workers_is_light() -> None:
    """The modules that most tests run in workers add nothing dear: every one of them pays for it."""
    program = f"import sys; sys.path[:] = {sys.path!r}; from tests import {CHILDREN}"
    assert modules_after(program) & (HEAVY - modules_of_a_bare_interpreter()) == set()


def test_the_parent_side_is_named_as_it_is() -> None:
    """The modules that must not be in a worker exist: a renamed one would be missed."""
    source = Path(sys.modules["workpool"].__file__ or "").parent
    for name in PARENT_SIDE:
        assert (source / f"{name.removeprefix('workpool.').replace('.', '/')}.py").is_file()


def modules_of_a_bare_interpreter() -> set[str]:
    """Return what every interpreter here imports: `.pth` files may import anything."""
    return modules_after("import sys")


def modules_after(program: str) -> set[str]:
    """Return what is imported in an interpreter that has run a program."""
    command = [sys.executable, "-c", f"{program}; print(*sys.modules)"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
