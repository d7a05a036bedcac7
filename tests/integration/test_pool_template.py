"""Workers forked from a template: everything a pool promises holds, and the module is imported once."""

from __future__ import annotations

import asyncio
import logging
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import children, template_children
from tests.children import Gate, end_of, is_alive, once
from workpool import (
    Entrypoint,
    EntrypointError,
    Executor,
    PoolClosed,
    TaskTimeout,
    WorkerCrashed,
    WorkerPool,
    WorkerStartError,
    WorkerTraceback,
    sync,
)

Pool = WorkerPool[Any, Any]
CALL = "tests.template_children:call"
METHODS = pytest.mark.parametrize("method", ["spawn", "template"])


def template_pool(form: Any = CALL, **options: Any) -> Pool:
    return Pool(form, start_method="template", **{"max_workers": 1, **options})


def module(directory: Path, patch: pytest.MonkeyPatch, source: str) -> str:
    """Write a module that a template has not imported before; return the name of its entrypoint."""
    (directory / "of_a_template.py").write_text(source)
    patch.syspath_prepend(str(directory))
    return "of_a_template:call"


async def template_of(pool: Pool) -> int:
    """Return the id of the process that has imported the entrypoint's module."""
    pid, parent, imported_by = await pool.add_task((template_children.who,))
    assert pid != imported_by == parent != os.getpid()
    return int(imported_by)


# What holds for all ways to start a worker


@METHODS
async def test_one_crash_fails_one_task(method: Any) -> None:
    """The error has the exit code or the signal's name, and the others go on."""
    async with Pool(CALL, max_workers=2, start_method=method) as pool:
        tasks = [pool.add_task((children.double, number)) for number in range(50)]
        with pytest.raises(WorkerCrashed) as killed:
            await pool.add_task((children.kill_self, signal.SIGSEGV))
        with pytest.raises(WorkerCrashed) as ended:
            await pool.add_task((children.end_with, 7))
        assert await asyncio.gather(*tasks) == [2 * number for number in range(50)]
    assert (killed.value.signal_name, killed.value.exit_code) == ("SIGSEGV", None)
    assert (ended.value.signal_name, ended.value.exit_code) == (None, 7)
    assert ended.value.pid != killed.value.pid


@METHODS
async def test_a_running_task_can_be_stopped(
    method: Any, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an interruption, and if that is not minded by the end of its worker."""
    async with Pool(CALL, max_workers=1, start_method=method) as pool:
        running = pool.add_task((gate.pass_through,))
        [pid] = await gate.arrived()
        running.cancel()
        assert (await pool.add_task((template_children.who,)))[0] == pid
        monkeypatch.setattr("workpool._interrupts.CANCEL_GRACE", 0.1)
        with pytest.raises(TaskTimeout):
            await pool.add_task((gate.pass_holding_gil,), timeout=0.1)
        assert (await pool.add_task((template_children.who,)))[0] != pid


@METHODS
async def test_an_async_entrypoint_runs(method: Any, gate: Gate) -> None:
    """Several tasks at a time in one worker."""
    form = "tests.template_children:call_async"
    async with Pool(form, max_workers=1, start_method=method) as pool:
        both = [pool.add_task((gate.pass_async,)) for _ in range(2)]
        pids = await gate.arrived(2)
        gate.open(2)
        assert await asyncio.gather(*both) == pids


@METHODS
async def test_an_import_that_raises_is_told(
    method: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`EntrypointError` with the traceback, and nothing hangs."""
    form = module(tmp_path, monkeypatch, "def fail():\n    raise ValueError('no import')\nfail()\n")
    async with Pool(form, max_workers=1, start_method=method) as pool:
        with pytest.raises(EntrypointError, match="no import") as raised:
            await pool.add_task(1)
    assert isinstance(raised.value.__cause__, WorkerTraceback | ValueError)
    assert "in fail" in str(raised.value.__cause__) + str(raised.value.__cause__.__cause__)


@METHODS
async def test_an_import_that_ends_its_process_is_told(
    method: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`WorkerStartError` after some tries, with the exit code and the last that it wrote."""
    source = "import os\nprint('going down', flush=True)\nos._exit(9)\n"
    form = module(tmp_path, monkeypatch, source)
    async with Pool(form, max_workers=1, start_method=method) as pool:
        with pytest.raises(WorkerStartError, match="exited with code 9") as raised:
            await pool.add_task(1)
    assert raised.value.exit_code == 9
    assert "going down" in raised.value.output


@METHODS
async def test_hooks_run_once_per_worker(method: Any) -> None:
    """Also where the module is imported once for all."""
    form = Entrypoint(
        "tests.template_children", "call", on_worker_start=template_children.leave_a_mark
    )
    async with Pool(form, max_workers=2, min_workers=2, start_method=method) as pool:
        for worker in (0, 1):
            seen = pool.add_task((template_children.mark,), affinity="force", worker=worker)
            assert await seen == pool.workers[worker].pid


@METHODS
async def test_output_and_log_records_arrive(
    method: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What a task prints and logs; and what the import prints and logs, as often as it is done."""
    source = (
        "import logging\nfrom tests.children import call\nprint('at import')\n"
        "logging.getLogger('of.import').warning('logged at import')\n"
    )
    form = module(tmp_path, monkeypatch, source)
    said: list[str] = []
    options: Any = {"worker_output": lambda _worker, _stream, line: said.append(line)}
    async with Pool(form, max_workers=1, start_method=method, **options) as pool:
        await pool.add_task((children.say, "from the task"))
        with pytest.raises(WorkerCrashed):
            await pool.add_task((os._exit, 1))
        await pool.add_task((children.log, "of.task", logging.ERROR, "logged by the task"))
    imports = 2 if method == "spawn" else 1
    assert sorted(said) == ["at import"] * imports + ["from the task"]
    logged = [record.message for record in caplog.records if record.name.startswith("of.")]
    assert logged == ["logged at import"] * imports + ["logged by the task"]


# What a template does


async def test_the_module_is_imported_once() -> None:
    """By the template, whose children the workers are; replacements too."""
    async with template_pool(max_workers=2, min_workers=2) as pool:
        template = await template_of(pool)
        for _ in range(3):
            with pytest.raises(WorkerCrashed):
                await pool.add_task((os._exit, 1))
            assert await template_of(pool) == template
    assert not is_alive(template)


async def test_nothing_of_the_parents_memory_is_in_a_template() -> None:
    """It is a fresh interpreter: what the parent has changed in a module is not seen."""
    children.NOT_CALLABLE = 43
    try:
        async with template_pool() as pool:
            assert await pool.add_task((children.not_callable,)) == 42
    finally:
        children.NOT_CALLABLE = 42


async def test_workers_draw_different_random_numbers() -> None:
    """Though they are copies of one process; also with the generator that numpy keeps."""
    pytest.importorskip("numpy")
    functions = (template_children.draw, template_children.draw_with_numpy)
    async with template_pool("tests.template_numpy:call", max_workers=2, min_workers=2) as pool:
        for draw in functions:
            drawn = [
                await pool.add_task((draw,), affinity="force", worker=worker) for worker in (0, 1)
            ]
            assert drawn[0] != drawn[1]


@pytest.mark.parametrize("make", [sync.WorkerPool, Executor])
def test_the_blocking_faces_have_it(make: Callable[..., Any]) -> None:
    """The pool for threads, and the executor, whose template imports the initializer's module."""
    if make is Executor:
        form: dict[str, Any] = {"initializer": template_children.draw}
    else:
        form = {"entrypoint": CALL}
    with make(**form, max_workers=1, start_method="template") as pool:
        if make is Executor:
            pid, parent, imported_by = pool.submit(template_children.who).result()
        else:
            pid, parent, imported_by = pool.add_task((template_children.who,)).result()
    assert pid != imported_by == parent


async def test_by_value_too() -> None:
    """A closure is unpickled by each worker; what it needs is imported by the template."""
    number = 20
    async with template_pool(lambda argument: (argument + number, os.getppid())) as pool:
        answer, parent = await pool.add_task(1)
    assert (answer, parent != os.getpid()) == (21, True)


# The template's end


async def test_workers_outlive_their_template(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    """They finish what they do; the next worker has a new template, and it is said."""
    async with template_pool() as pool:
        template = await template_of(pool)
        running = pool.add_task((gate.pass_through,))
        [pid] = await gate.arrived()
        os.kill(template, signal.SIGKILL)
        await end_of(template)
        gate.open()
        assert await running == pid
        with pytest.raises(WorkerCrashed, match="ended while it ran"):
            await pool.add_task((os._exit, 1))
        assert await template_of(pool) != template
    assert "ended by SIGKILL" in caplog.text


async def test_a_template_that_dies_while_it_imports(
    gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another does its work, for all workers that waited for it."""
    source = f"from tests.children import *\nGate({str(tmp_path)!r}).pass_through()\n"
    form = module(tmp_path, monkeypatch, source)
    async with template_pool(form, max_workers=2, min_workers=2) as pool:
        tasks = [pool.add_task((children.double, number)) for number in range(10)]
        [template] = await gate.arrived()
        assert [worker.pid for worker in pool.workers] == [0, 0]
        os.kill(template, signal.SIGKILL)
        [other] = await gate.arrived()
        assert other != template
        gate.open()
        assert await asyncio.gather(*tasks) == [2 * number for number in range(10)]


@pytest.mark.parametrize("end", ["kill", "leave"])
async def test_a_pool_may_end_while_its_template_imports(
    gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """Nobody waits for the import, and nobody is left."""
    monkeypatch.setattr("workpool._fleet.START_GRACE", 0.1)
    source = f"from tests.children import *\nGate({str(tmp_path)!r}).pass_holding_gil()\n"
    form = module(tmp_path, monkeypatch, source)
    with pytest.raises(LookupError):
        async with template_pool(form, max_workers=2, min_workers=2) as pool:
            task = pool.add_task((os.getpid,))
            [template] = await gate.arrived()
            if end == "kill":
                pool.kill()
                assert not is_alive(template)
            raise LookupError
    assert not is_alive(template)
    with pytest.raises((PoolClosed, asyncio.CancelledError)):
        await task


async def test_a_worker_may_be_killed_before_it_is_born(
    gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends at once; its replacement is made by the same template."""
    source = f"from tests.children import *\nGate({str(tmp_path)!r}).pass_through()\n"
    form = module(tmp_path, monkeypatch, source)
    async with template_pool(form) as pool:
        task = pool.add_task((os.getppid,))
        [template] = await gate.arrived()
        exited = once(pool, "worker-exited")
        pool.workers[0].kill()
        await exited
        gate.open()
        assert await task == template


def test_all_end_with_the_parent(gate: Gate, tmp_path: Path) -> None:
    """Killed, it takes a busy worker, an idle one and their template with it."""
    with Gate(tmp_path, "start") as start, parent_program("run_a_pool", str(tmp_path)) as parent:
        start.arrived_blocking(2)
        start.open(2)
        pids = [int(word) for word in parent.stdout.readline().split()]
        gate.arrived_blocking()
        assert len(pids) == 3
        assert_end_with(parent, pids)


def test_a_template_that_imports_ends_with_the_parent(gate: Gate, tmp_path: Path) -> None:
    """Also while the import holds the GIL."""
    path = tmp_path / "of_a_template.py"
    path.write_text(f"from tests.children import *\nGate({str(tmp_path)!r}).pass_holding_gil()\n")
    with parent_program("wait_for_a_pool", f"{path}:call") as parent:
        assert_end_with(parent, gate.arrived_blocking())


@contextmanager
def parent_program(function: str, argument: str) -> Iterator[Any]:
    """Run a function of `template_children` in a program of its own."""
    call_it = f"from tests.template_children import *; {function}({argument!r})"
    command = [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}; {call_it}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        yield parent


def assert_end_with(parent: Any, pids: list[int]) -> None:
    """Have a parent kill itself; its processes, named by their ids, are gone within a second."""
    watched = [os.pidfd_open(pid) for pid in pids]
    parent.stdin.close()
    parent.wait()
    for descriptor in watched:
        assert select.select([descriptor], [], [], 1.0)[0]
        os.close(descriptor)


# When a template cannot be, or not this one


@pytest.mark.parametrize("kind", ["Python", "native code"])
async def test_a_module_that_starts_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """Its workers are interpreters of their own, and the pool says why, once."""
    source = (
        "import os\nfrom tests.children import call\nIMPORTED_BY = os.getpid()\n"
        + {
            "Python": "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n",
            "native code": "import faulthandler\nfaulthandler.dump_traceback_later(3600)\n",
        }[kind]
    )
    form = module(tmp_path, monkeypatch, source)
    async with template_pool(form, max_workers=2, min_workers=2) as pool:
        for worker in (0, 1):
            parent = await pool.add_task((os.getppid,), affinity="force", worker=worker)
            assert parent == os.getpid()
        assert await pool.add_task((os.getpid,)) > 0
    [warning] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert f"starts 1 thread(s) of {kind}" in warning.message


async def test_a_changed_environment_has_another_template(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker finds the variables of its start, not those of an old template; so with the folder."""
    async with template_pool() as pool:
        _, first = await pool.add_task((template_children.environment, "NEW"))
        monkeypatch.setenv("NEW", "here")
        with pytest.raises(WorkerCrashed):
            await pool.add_task((os._exit, 1))
        value, second = await pool.add_task((template_children.environment, "NEW"))
        assert (value, second != first) == ("here", True)
        await end_of(first)  # the last of its workers is gone, and nobody asks it any more


async def test_a_restart_with_variables_is_an_interpreter_of_its_own() -> None:
    """What was imported under other variables is no likeness of it."""
    async with template_pool() as pool:
        template = await template_of(pool)
        worker = await pool.workers[0].restart(env={"ONLY": "here"})
        value, imported_by = await pool.add_task((template_children.environment, "ONLY"))
        assert (value, imported_by) == ("here", worker.pid)
        assert imported_by != template
