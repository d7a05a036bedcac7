"""Workers are interpreters of their own, like the parent's, that share nothing by accident."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import children
from tests.children import Gate, call
from workpool import WorkerPool

Pool = WorkerPool[Any, Any]
ROOT = Path(__file__).parents[2]


PROGRAM = """
import asyncio, json, os, sys
sys.path.append("/added/by/the/program")
os.environ["SET_BY_THE_PROGRAM"] = "here"
from tests.children import call, interpreter
from workpool import WorkerPool

async def main():
    async with WorkerPool(call, max_workers=1, env={"ONLY_THERE": "1"}) as pool:
        return await pool.add_task((interpreter,))

print(json.dumps([interpreter(), asyncio.run(main())]))
"""


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["-O"],
        ["-OO", "-B"],
        ["-X", "dev"],
        ["-X", "dev", "-W", "error::UserWarning", "-O"],
        ["-W", "ignore::DeprecationWarning", "-X", "utf8=1", "-b", "-s"],
        ["-P"],
    ],
    ids=" ".join,
)
def test_a_worker_is_an_interpreter_like_the_parents(tmp_path: Path, flags: list[str]) -> None:
    """Flags, warnings, `sys.path`, directory and environment are the parent's, plus `env=`."""
    search_path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    finished = subprocess.run(
        [sys.executable, *flags, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": search_path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert finished.stderr == ""
    parent, worker = json.loads(finished.stdout)
    assert worker["environment"].pop("ONLY_THERE") == "1"
    if parent["path"][0] == "":  # which means the current directory
        parent["path"][0] = str(tmp_path)
    assert worker == parent
    assert worker["environment"]["SET_BY_THE_PROGRAM"] == "here"
    assert "/added/by/the/program" in worker["path"]


async def test_env_overrides_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`env=` wins over the parent's variables, and does not change them."""
    monkeypatch.setenv("A_VARIABLE", "of the parent")
    async with Pool(call, max_workers=1, env={"A_VARIABLE": "of the workers"}) as pool:
        assert await pool.add_task((os.getenv, "A_VARIABLE")) == "of the workers"
    assert os.environ["A_VARIABLE"] == "of the parent"


async def test_nothing_of_the_parents_memory_is_in_a_worker() -> None:
    """State that the parent changed in a module is not seen there: no fork was involved."""
    children.NOT_CALLABLE = 43
    try:
        async with Pool(call, max_workers=1) as pool:
            assert await pool.add_task((children.not_callable,)) == 42
            assert await pool.add_task((os.getppid,)) == os.getpid()
    finally:
        children.NOT_CALLABLE = 42


async def test_a_worker_imports_little() -> None:
    """A worker of a sync entrypoint has neither asyncio nor the pool's side of the package."""
    async with Pool(children.loaded_modules_of, max_workers=1) as pool:
        loaded = set(await pool.add_task(None))
    for heavy in ("asyncio", "multiprocessing", "concurrent", "logging", "cloudpickle"):
        assert heavy not in loaded
    assert not {"workpool._pool", "workpool._engine", "workpool._fleet"} & loaded
    assert "workpool._worker.boot" in loaded


async def test_arguments_of_the_interpreter() -> None:
    """`ps` shows the pool's name; `sys.argv` is nothing a task should trip over."""
    async with Pool(call, max_workers=1, name="the name") as pool:
        pid = await pool.add_task((os.getpid,))
        command = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        assert "the name" in command
        assert pool.name == "the name"


@pytest.mark.parametrize("how", ["descriptors_of_a_program", "descriptors_after_fork"])
async def test_descriptors_stay_with_the_worker(how: str) -> None:
    """A program or a forked child of a task inherits no descriptor of the pool."""
    async with Pool(call, max_workers=2) as pool:
        large = pool.add_task((len, b"x" * 100_000))
        found = await pool.add_task((getattr(children, how),))
        assert await large == 100_000
    if how == "descriptors_after_fork":
        # What the shared memory was mapped from is replaced, as its mapping holds the number.
        found = {number: what for number, what in found.items() if what != os.devnull}
    assert found == {}


async def test_a_worker_inherits_nothing_but_what_is_the_pools(gate: Gate) -> None:
    """Descriptors of the parent, inheritable or not, and other workers' are not in a worker."""
    with open(os.devnull) as file:  # noqa: PTH123
        os.set_inheritable(file.fileno(), True)
        async with Pool(call, max_workers=2) as pool:
            stuck = pool.add_task((gate.pass_through,))
            await gate.arrived()
            found = await pool.add_task((children.open_descriptors,))
            gate.open()
            await stuck
    kinds = [what.partition(":")[0] for what in found.values()]
    assert os.devnull not in kinds
    assert all(
        what.startswith(("/memfd:workpool-", "pipe:", "socket:")) for what in found.values()
    ), found
    # Report, liveness and one queue per slot; no end of another worker's.
    assert kinds.count("pipe") == 2 + 2


async def test_a_program_of_a_task_that_lives_on_does_not_keep_the_pool() -> None:
    """A worker that left a program running in the background ends as any other."""
    async with Pool(call, max_workers=1) as pool:
        program = await pool.add_task((children.start_program,))
        assert children.is_alive(program)
    os.kill(program, 9)


async def test_many_pools_leave_no_descriptor() -> None:
    """After pools came and went, this process holds what it held before."""
    async with Pool(children.double, max_workers=1) as pool:
        await pool.add_task(1)
    before = children.open_descriptors()
    for _ in range(5):
        async with Pool(children.double, max_workers=2) as pool:
            await pool.add_task(1)
    assert children.open_descriptors() == before
