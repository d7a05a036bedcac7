"""Every form of entrypoint works in real workers, and every wrong one says what is wrong."""

from __future__ import annotations

import asyncio
import operator
import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests import children, decorated_children
from workpool import (
    Entrypoint,
    EntrypointError,
    SerializationError,
    WorkerHandle,
    WorkerPool,
    WorkerStartError,
    WorkerTraceback,
)

Pool = WorkerPool[Any, Any]
ROOT = Path(__file__).parents[2]
MODULE = "tests.children"
FILE = children.__file__


def name_of(form: object) -> str:
    """Name a form for a test's id: without an address, so that it is the same in every run."""
    return re.sub(r" at 0x\w+|/\S*/", "", str(form))


def add_scaled(amount: int, number: int, factor: int = 0) -> int:
    return amount + number * factor


def offset_by(amount: int) -> Callable[[int], int]:
    return lambda number: number + amount


async def collect_hook_messages(pool: Pool, *arguments: Any) -> tuple[list[Any], list[str]]:
    """Run one task after the other in one worker; return the results and what the hooks said."""
    said: list[str] = []
    pool.on_message("hook", lambda content, _origin: said.append(content))
    async with pool:
        results = [await pool.add_task(argument) for argument in arguments]
    return results, said


@pytest.mark.parametrize(
    "form",
    [
        children.double,
        children.double_async,
        f"{MODULE}:double",
        f"{MODULE}:double_async",
        f"{FILE}:double",
        f"{FILE}:Doubler.static",
        f"{MODULE}:Doubler.of_class",
        f"{MODULE}:Doubler.method",
        Entrypoint(MODULE, "double"),
        Entrypoint(module_path=FILE, symbol="double"),
        children.Doubler(),
        children.Doubler().method,
        children.Doubler.of_class,
        partial(operator.mul, 2),
        partial(add_scaled, 1, factor=1),
        offset_by(21),
        lambda number: number * 2,
    ],
    ids=name_of,
)
async def test_an_entrypoint_of_one_argument(form: Any) -> None:
    """Functions, methods, callables, names, pairs and closures run with the argument."""
    async with Pool(form, max_workers=1) as pool:
        assert await pool.add_task(21) == (22 if "add_scaled" in name_of(form) else 42)


@pytest.mark.parametrize(
    "form",
    [
        children.double_with_client,
        children.double_async_with_client,
        f"{MODULE}:double_with_client",
        f"{FILE}:double_async_with_client",
        Entrypoint(MODULE, "double_with_client"),
        lambda number, client: (number * 2, client.worker_id),
    ],
    ids=name_of,
)
async def test_an_entrypoint_of_argument_and_client(form: Any) -> None:
    """An entrypoint with a second parameter gets its worker's client there."""
    async with Pool(form, max_workers=1) as pool:
        assert await pool.add_task(21) == (42, 0)


async def test_a_builtin_function() -> None:
    """A function without a Python signature is one of the argument alone."""
    async with Pool(len, max_workers=1) as pool:
        assert await pool.add_task("four") == 4


async def test_an_async_closure_runs_concurrently() -> None:
    """An entrypoint that travels by value may be async as well."""
    amount = 20

    async def add(number: int) -> int:
        await asyncio.sleep(0)
        return number + amount

    async with Pool(add, max_workers=1) as pool:
        assert await asyncio.gather(*map(pool.add_task, range(5))) == [20, 21, 22, 23, 24]


async def test_a_file_imports_its_neighbours(tmp_path: Path) -> None:
    """A file is imported so that the modules beside it can be found."""
    (tmp_path / "neighbour_of_it.py").write_text("VALUE = 2\n")
    (tmp_path / "the_file.py").write_text(
        "from neighbour_of_it import VALUE\ndef times(number): return number * VALUE\n"
    )
    async with Pool(f"{tmp_path}/the_file.py:times", max_workers=1) as pool:
        assert await pool.add_task(4) == 8


async def test_a_relative_file_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file's path is taken from the directory in which the pool is made."""
    (tmp_path / "here.py").write_text("def triple(number): return number * 3\n")
    monkeypatch.chdir(tmp_path)
    async with Pool("here.py:triple", max_workers=1) as pool:
        assert await pool.add_task(4) == 12


HOOKS: dict[str, Any] = {
    "on_worker_start": children.note_start,
    "on_worker_exit": children.note_exit,
    "pre_task": children.note_before,
}
ASYNC_HOOKS: dict[str, Any] = {
    "on_worker_start": children.note_start_async,
    "on_worker_exit": children.note_exit_async,
    "pre_task": children.note_before_async,
}


@pytest.mark.parametrize(
    "form",
    [
        Entrypoint(MODULE, "notes", **HOOKS),
        Entrypoint(FILE, "notes", **ASYNC_HOOKS),
        Entrypoint(MODULE, "notes_async", **ASYNC_HOOKS),
        Entrypoint(MODULE, "notes_async", **HOOKS),
        children.attributed,
        f"{MODULE}:attributed",
        decorated_children.decorated,
        f"{decorated_children.__file__}:decorated",
        Entrypoint("tests.decorated_children", "decorated"),
    ],
    ids=["pair", "async hooks", "all async", "async", "attributes", "name", "decorated", "f", "p"],
)
async def test_hooks_run_when_they_should(form: Any) -> None:
    """The start hook runs once first, pre_task before each task, the exit hook once at the end."""
    results, said = await collect_hook_messages(Pool(form, max_workers=1), 1, 2)
    first = ["start", ("before", 1), ("run", 1)]
    assert results == [first, [*first, ("before", 2), ("run", 2)]]
    assert said == ["start", "exit"]


async def test_hooks_of_a_pair_replace_those_of_the_symbol() -> None:
    """A hook given to `Entrypoint` is used instead of the one the symbol carries."""
    form = Entrypoint("tests.decorated_children", "decorated", pre_task=children.raise_in_hook)
    async with Pool(form, max_workers=1) as pool:
        with pytest.raises(ValueError, match="does not like it"):
            await pool.add_task(1)


async def test_every_worker_runs_its_own_hooks(tmp_path: Path) -> None:
    """Two workers have two states, two starts and two exits."""
    said: list[tuple[str, int]] = []
    form = Entrypoint(
        MODULE,
        "call",
        on_worker_start=children.note_start,
        on_worker_exit=children.note_exit,
    )
    with children.Gate(tmp_path) as gate:
        pool = Pool(form, max_workers=2)
        pool.on_message("hook", lambda content, origin: said.append((content, origin.id)))
        async with pool:
            tasks = [pool.add_task((gate.pass_through,)) for _ in range(2)]
            await gate.arrived(2)
            gate.open(2)
            assert len(set(await asyncio.gather(*tasks))) == 2
    assert sorted(said) == [("exit", 0), ("exit", 1), ("start", 0), ("start", 1)]


def test_a_decorated_function_stays_callable() -> None:
    """The decorator does not change what a direct call does."""

    class Client:
        class state:  # noqa: N801
            notes: list[Any] = []  # noqa: RUF012

    client: Any = Client()
    assert decorated_children.decorated(5, client) == [("run", 5)]
    assert getattr(decorated_children.decorated, "__name__", None) == "decorated"


# What the program defines itself


SCRIPT = """
import asyncio, sys
from dataclasses import dataclass
from workpool import WorkerPool, entrypoint
from tests.children import identity

@dataclass
class Point:
    x: int
    y: int

class Oops(Exception):
    pass

def mirror(point):
    if point.x < 0:
        raise Oops(point.x)
    return Point(point.y, point.x)

@entrypoint
def counted(point, client):
    client.state.count += 1
    return client.state.count

@counted.on_worker_start
def start(client):
    client.state.count = 10

print("main runs")

async def main():
    for form in (mirror, *map(eval, sys.argv[1:])):
        async with WorkerPool(form, max_workers=1) as pool:
            result = await pool.add_task(Point(1, 2))
            assert type(result) is Point, type(result)
            print(result)
            try:
                await pool.add_task(Point(-1, 0))
            except Oops as error:
                print("Oops", error)
    async with WorkerPool(identity, max_workers=1) as pool:
        point = Point(3, 4)
        result = await pool.add_task(point)
        assert type(result) is Point and result == point and result is not point
    async with WorkerPool(counted, max_workers=1) as pool:
        print(await pool.add_task(None), await pool.add_task(None))

asyncio.run(main())
"""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}


@pytest.mark.parametrize("how", ["file", "argument", "standard input"])
def test_a_program_without_a_guard(tmp_path: Path, how: str) -> None:
    """Functions, classes and exceptions of `__main__` work, and no worker runs it again."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    own_names = ['"script.py:mirror"', '"__main__:mirror"'] if how == "file" else []
    command = {
        "file": ["script.py", *own_names],
        "argument": ["-c", SCRIPT],
        "standard input": ["-"],
    }[how]
    finished = subprocess.run(
        [sys.executable, *command],
        input=SCRIPT if how == "standard input" else "",
        env=environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert finished.stderr == ""
    once = "Point(x=2, y=1)\nOops -1\n"
    assert finished.stdout == f"main runs\n{once * (1 + len(own_names))}11 12\n"


def test_a_program_that_is_a_package(tmp_path: Path) -> None:
    """What a package's `__main__.py` defines works when it runs with `python -m`."""
    package = tmp_path / "the_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "helper.py").write_text("FACTOR = 3\n")
    (package / "__main__.py").write_text(
        "import asyncio\n"
        "from workpool import WorkerPool\n"
        "from .helper import FACTOR\n"
        "def times(number): return number * FACTOR\n"
        "async def main():\n"
        "    async with WorkerPool(times) as pool:\n"
        "        print(await pool.add_task(5))\n"
        "asyncio.run(main())\n"
    )
    finished = subprocess.run(
        [sys.executable, "-m", "the_package"],
        env=environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (finished.stderr, finished.stdout) == ("", "15\n")


# Wrong ones


@pytest.mark.parametrize(
    "form",
    [42, None, "no_colon", "module:", ":symbol", "a b:c", "module:not-a-name", object()],
    ids=name_of,
)
def test_what_cannot_be_an_entrypoint_is_refused_at_once(form: Any) -> None:
    """A value that no worker could ever resolve raises where the pool is made."""
    with pytest.raises(EntrypointError):
        Pool(form)


BROKEN_FILES = {
    "raises.py": "raise LookupError('nothing here works')\n",
    "syntax.py": "def f(:\n",
    "imports.py": "import a_module_that_is_nowhere\n",
    "exits.py": "import sys; sys.exit(3)\n",
}


@pytest.fixture
def broken_files(tmp_path: Path) -> Path:
    for name, content in BROKEN_FILES.items():
        (tmp_path / name).write_text(content)
    return tmp_path


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ("no_such_module_anywhere:run", "there is no module 'no_such_module_anywhere'"),
        ("tests.no_such_module:run", "there is no module 'tests.no_such_module'"),
        ("tests.children:no_such_symbol", "no attribute 'no_such_symbol'"),
        ("tests.children:Doubler.no_such_method", "no attribute 'no_such_method'"),
        ("tests.children:NOT_CALLABLE", "not callable"),
        ("{}/missing.py:run", "there is no file '{}/missing.py'"),
        ("{}/raises.py:run", "LookupError: nothing here works"),
        ("{}/syntax.py:run", "SyntaxError"),
        ("{}/imports.py:run", "ModuleNotFoundError: No module named 'a_module_that_is_nowhere'"),
        ("{}/exits.py:run", "SystemExit: 3"),
    ],
)
async def test_a_wrong_entrypoint_fails_every_waiting_task(
    broken_files: Path, form: str, says: str
) -> None:
    """The tasks fail with names and the worker's traceback; no worker is started for ever."""
    form, says = form.format(broken_files), says.format(broken_files)
    module, _, symbol = form.rpartition(":")
    launched: list[WorkerHandle] = []
    async with Pool(form, max_workers=1) as pool:
        pool.on("worker-launched", launched.append)
        for _ in range(2):  # the pool stays as usable as it was
            outcomes = await asyncio.gather(*map(pool.add_task, range(3)), return_exceptions=True)
            for error in outcomes:
                assert isinstance(error, EntrypointError)
                assert says in str(error)
                assert symbol in str(error)
                assert (error.module, error.symbol) == (module, symbol)
                assert isinstance(error.__cause__, WorkerTraceback)
                assert "EntrypointError" in error.__cause__.text
        await pool.when_idle()
    assert len(launched) == 2


async def test_an_entrypoint_that_cannot_be_pickled() -> None:
    """The tasks fail with the reason, and no process is started."""
    thing = children.Unpicklable()
    async with Pool(lambda _: thing, max_workers=1) as pool:
        with pytest.raises(SerializationError, match="this stays where it is"):
            await pool.add_task(1)
        assert pool.workers == ()


@pytest.mark.parametrize("function", ["call", "call_async"])
async def test_a_start_hook_that_raises(function: str) -> None:
    """The waiting tasks fail with `WorkerStartError`, caused by what the hook raised."""
    launched: list[WorkerHandle] = []
    form = Entrypoint(MODULE, function, on_worker_start=children.raise_in_hook)
    async with Pool(form, max_workers=2) as pool:
        pool.on("worker-launched", launched.append)
        outcomes = await asyncio.gather(*map(pool.add_task, range(5)), return_exceptions=True)
        for error in outcomes:
            assert isinstance(error, WorkerStartError)
            assert "ValueError: the hook does not like it here" in str(error)
            assert isinstance(error.__cause__, ValueError)
            assert isinstance(error.__cause__.__cause__, WorkerTraceback)
            assert "raise_in_hook" in error.__cause__.__cause__.text
    assert len(launched) <= 4


@pytest.mark.parametrize("where", ["hook", "import"])
async def test_a_start_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """A worker that is not ready in time is killed, and the waiting tasks fail."""
    with children.Gate(tmp_path) as gate:
        (tmp_path / "hangs.py").write_text(
            "from tests.children import Gate\n"
            f"def start(client=None): Gate({str(tmp_path)!r}).pass_through()\n"
            "def run(argument): return argument\n" + ("start()\n" if where == "import" else "")
        )
        hook: Any = f"{tmp_path}/hangs.py:start" if where == "hook" else None
        form = Entrypoint(f"{tmp_path}/hangs.py", "run", on_worker_start=hook)
        async with Pool(form, max_workers=1) as pool:
            monkeypatch.setattr("workpool._fleet.START_TIMEOUT", 1.5)
            task = pool.add_task(1)
            [pid] = await gate.arrived()
            with pytest.raises(WorkerStartError, match="not ready after"):
                await task
            await children.end_of(pid)
            monkeypatch.undo()
            task = pool.add_task(2)  # the pool goes on, and the next start does not hang
            await gate.arrived()
            gate.open()
            assert await task == 2


async def test_a_pre_task_hook_that_raises_fails_its_task_alone() -> None:
    """The task fails with what the hook raised; its worker goes on."""

    def refuse_negative(number: int) -> None:
        if number < 0:
            raise ValueError("negative")

    form = Entrypoint(MODULE, "double", pre_task=lambda number, _client: refuse_negative(number))
    async with Pool(form, max_workers=1) as pool:
        with pytest.raises(ValueError, match="negative"):
            await pool.add_task(-1)
        assert await pool.add_task(1) == 2
        assert pool.statistics().restarts == 0


async def test_an_exit_hook_that_raises_is_reported() -> None:
    """The error reaches the event loop's exception handler, and the pool closes all the same."""
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    form = Entrypoint(MODULE, "double", on_worker_exit=children.raise_in_hook)
    async with Pool(form, max_workers=1) as pool:
        assert await pool.add_task(1) == 2
    [context] = reported
    assert isinstance(context["exception"], ValueError)
    assert "on_worker_exit" in context["message"]
