"""What `__main__` defines, sent to the workers of an executor and of pools, and how it is shown."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def output_of(folder: Path, *command: str) -> list[str]:
    """Return the lines that a Python program prints."""
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    finished = subprocess.run(
        [sys.executable, "-W", "error", *command],
        env={**os.environ, "PYTHONPATH": path},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=25,
    )
    assert finished.stderr == ""
    return finished.stdout.splitlines()


CLASSES_WITH_SLOTS = """
import asyncio
from typing import Generic, NamedTuple, TypeVar

import workpool
from workpool import Executor, sync

T = TypeVar("T")

class Point(NamedTuple):
    x: int
    y: int = 5

class Box(NamedTuple, Generic[T]):
    content: T

class SetsSlots(type):
    def __new__(cls, name, bases, names):
        if "__slots__" in names:
            raise ValueError("slots are my affair")
        return super().__new__(cls, name, bases, {**names, "__slots__": ("value",)})

class Own(metaclass=SetsSlots):
    def __init__(self, value): self.value = value
    def __eq__(self, other): return type(self) is type(other) and self.value == other.value

class Plain:
    __slots__ = ("value",)
    def __init__(self, value): self.value = value
    def __eq__(self, other): return type(self) is type(other) and self.value == other.value

def mirror(value):
    try:
        value.other = 1  # none of them has a place for it, over there either
    except AttributeError:
        return value

def make(kind):
    return {"Point": Point(1), "Box": Box("b"), "Own": Own(3), "Plain": Plain(4)}[kind]

VALUES = [Point(1), Box("b"), Own(3), Plain(4)]
KINDS = [type(value).__name__ for value in VALUES]

def same(values):
    return list(values) == VALUES and list(map(type, values)) == list(map(type, VALUES))

async def main():
    for function, arguments in ((mirror, VALUES), (make, KINDS), (lambda value: value, VALUES)):
        async with workpool.WorkerPool(function, max_workers=1) as pool:
            print(same(await asyncio.gather(*map(pool.add_task, arguments))))

asyncio.run(main())
with sync.WorkerPool(mirror, max_workers=1) as pool:
    print(same(list(pool.map(VALUES))))
with Executor(1) as executor:
    print(same([executor.submit(mirror, value).result() for value in VALUES]))
    print(same(list(executor.map(make, KINDS))))
"""


def test_classes_whose_metaclass_sets_the_slots(tmp_path: Path) -> None:
    """Named tuples and the like of `__main__` travel both ways, as argument, result and global name."""
    (tmp_path / "script.py").write_text(CLASSES_WITH_SLOTS)
    assert output_of(tmp_path, "script.py") == ["True"] * 6


RELATIVE_IMPORT = """
from workpool import Executor

def triple(number):
    from . import helper
    from .helper import FACTOR
    return number * helper.FACTOR, FACTOR

with Executor(1) as executor:
    print(executor.submit(triple, 5).result(), executor.submit(lambda: triple(1)).result())
"""


def test_relative_imports_in_functions_of_a_module_that_is_run(tmp_path: Path) -> None:
    """With ``python -m package.module`` they find what they find in the parent."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "helper.py").write_text("FACTOR = 3\n")
    (package / "module.py").write_text(RELATIVE_IMPORT)
    assert output_of(tmp_path, "-m", "package.module") == ["(15, 3) (3, 3)"]


FAILING_CALLS = """
import os, threading, time
from workpool import Executor

def leave(how, **options): os._exit(3)
def sleep(seconds): time.sleep(seconds)
class Thing:
    def take(self, lock): pass

def show(future):
    print(str(future.exception()).replace(str(LOCK), "LOCK"))

LOCK = threading.Lock()
with Executor(1, timeout=0.3) as executor:
    show(executor.submit(leave, "now", code=[1]))
    show(executor.submit(sleep, 60))
    show(executor.submit(Thing().take, LOCK))
    show(executor.submit(LOCK.acquire))
with Executor(1, initializer=print, initargs=(LOCK,)) as executor:
    show(executor.submit(abs, -1))
with Executor(1) as executor:
    try:
        list(executor.map(leave, ["now"]))
    except Exception as error:
        print(error)
"""


def test_errors_show_a_call_as_it_is_written(tmp_path: Path) -> None:
    """A crash, a timeout and what cannot be pickled name the function and its arguments."""
    (tmp_path / "script.py").write_text(FAILING_CALLS)
    lines = output_of(tmp_path, "script.py")
    calls = [
        "task 1 (leave('now', code=[1]))",
        "task 2 (sleep(60))",
        "the call Thing.take(LOCK) cannot be pickled",
        "the call lock.acquire() cannot be pickled",
        "the initializer with its initargs cannot be pickled",
        "(leave('now'))",
    ]
    assert len(lines) == len(calls)
    for line, call in zip(lines, calls, strict=True):
        assert call in line
