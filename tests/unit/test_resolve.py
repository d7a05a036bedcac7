"""Finding the entrypoint in a worker: the same names, rules and errors in every process."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import children
from tests.decorated_children import decorated
from workpool import Entrypoint, EntrypointError
from workpool._entrypoint import find_target
from workpool._worker.resolve import (
    Entry,
    load_file,
    load_target,
    resolve,
)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Return an empty directory; forget what is imported from it afterwards."""
    path, modules = sys.path[:], set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in sys.modules.keys() - modules:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def entry_of(given: object) -> Entry:
    """Resolve as a worker does: what arrives there is a copy."""
    target = find_target(given)
    if target.value is None:
        target = load_target(pickle.dumps(target, 5))
    return resolve(target)


def error_of(given: object) -> EntrypointError:
    with pytest.raises(EntrypointError) as caught:
        entry_of(given)
    assert caught.value.symbol
    return caught.value


@pytest.mark.parametrize(
    "given",
    [
        children.double,
        "tests.children:double",
        "tests.children:Doubler.static",
        "tests.children:Doubler.of_class",
        "tests.children:Doubler.method",
        f"{children.__file__}:double",
        Entrypoint("tests.children", "double"),
        children.Doubler().method,
        children.Doubler(),
        lambda number: number * 2,
        "operator:neg",
    ],
)
def test_every_form_can_be_called(given: object) -> None:
    """Whatever names or is the entrypoint, the resolved function takes the argument."""
    assert abs(entry_of(given).function(-21)) == (21 if given == "operator:neg" else 42)


@pytest.mark.parametrize(
    "given", [children.attributed, decorated, "tests.decorated_children:decorated"]
)
def test_hooks_are_found_with_the_symbol(given: object) -> None:
    """Attributes and decorators give the worker all three hooks."""
    entry = entry_of(given)
    assert entry.on_worker_start is children.note_start
    assert entry.on_worker_exit is children.note_exit
    assert entry.pre_task is children.note_before


def test_given_hooks_win_over_those_of_the_symbol() -> None:
    """What `Entrypoint` says replaces an attribute; the others stay."""
    given = Entrypoint("tests.decorated_children", "decorated", pre_task=children.note_before_async)
    entry = entry_of(given)
    assert entry.pre_task is children.note_before_async
    assert entry.on_worker_start is children.note_start


def test_a_hook_may_be_named() -> None:
    """A hook given as 'module:symbol' is looked up like an entrypoint."""
    hook: Any = "tests.children:note_start"
    entry = entry_of(Entrypoint("tests.children", "double", on_worker_start=hook))
    assert entry.on_worker_start is children.note_start


def test_a_hook_that_cannot_be_called_is_an_error() -> None:
    """The error names the hook."""
    given = Entrypoint("tests.children", "double", pre_task=3)  # type: ignore[arg-type]
    assert "pre_task" in str(error_of(given))


@pytest.mark.parametrize(
    ("given", "module", "said"),
    [
        ("no_such_module_here:run", "no_such_module_here", "no module 'no_such_module_here'"),
        ("tests.no_such:run", "tests.no_such", "no module 'tests.no_such'"),
        ("tests.children:missing", "tests.children", "no attribute 'missing'"),
        ("tests.children:Doubler.missing", "tests.children", "no attribute 'missing'"),
        ("tests.children:NOT_CALLABLE", "tests.children", "not callable"),
        ("/no/such/file.py:run", "/no/such/file.py", "no file"),
    ],
)
def test_what_is_missing_is_named(given: str, module: str, said: str) -> None:
    """Module and symbol are in the error's attributes, and what is wrong with them in its text."""
    error = error_of(given)
    assert (error.module, error.symbol) == (module, given.rpartition(":")[2])
    assert said in str(error)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("import no_such_thing_either", "No module named 'no_such_thing_either'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def broken(:", "SyntaxError"),
        ("open('/no/such/data')", "FileNotFoundError"),
    ],
)
def test_an_import_that_raises_is_told_as_such(folder: Path, body: str, said: str) -> None:
    """The cause is the module's own exception, and no half-made module is left behind."""
    path = folder / "raises_on_import.py"
    path.write_text(body + "\n")
    error = error_of(f"{path}:run")
    assert said in str(error)
    assert "importing" in str(error)
    assert error.__cause__ is not None
    assert "raises_on_import" not in sys.modules


def test_a_file_can_import_its_neighbours(folder: Path) -> None:
    """Its directory is on the search path, after everything else."""
    (folder / "neighbour_of_file.py").write_text("VALUE = 7\n")
    (folder / "the_file.py").write_text(
        "from neighbour_of_file import VALUE\ndef run(arg): return VALUE + arg\n"
    )
    assert entry_of(f"{folder / 'the_file.py'}:run").function(1) == 8
    assert sys.path[-1] == str(folder)


def test_a_file_inside_a_package_can_import_relatively(folder: Path) -> None:
    """Its module gets the dotted name that an import would give it."""
    inner = folder / "outer_package" / "inner_package"
    inner.mkdir(parents=True)
    for package in (inner, inner.parent):
        (package / "__init__.py").write_text("")
    (inner.parent / "shared.py").write_text("VALUE = 7\n")
    (inner / "tool.py").write_text("from ..shared import VALUE\ndef run(arg): return VALUE + arg\n")
    entry = entry_of(f"{inner / 'tool.py'}:run")
    assert entry.function(1) == 8
    assert entry.function.__module__ == "outer_package.inner_package.tool"
    assert sys.modules["outer_package.inner_package.tool"] is load_file(str(inner / "tool.py"))


def test_files_of_one_name_do_not_get_in_each_others_way(folder: Path) -> None:
    """Neither two files of the same name, nor one named like a standard module, are mixed up."""
    (folder / "deeper").mkdir()
    for number, path in enumerate(("same_name.py", "deeper/same_name.py", "json.py")):
        (folder / path).write_text(f"def run(arg): return {number}\n")
    got = [
        entry_of(f"{folder / path}:run").function(None)
        for path in ("same_name.py", "deeper/same_name.py", "json.py")
    ]
    assert got == [0, 1, 2]
    import json

    assert json.loads("[1]") == [1]


def test_a_file_is_executed_once(folder: Path) -> None:
    """Resolving twice, for a hook say, gives the same module."""
    path = folder / "counts_itself.py"
    path.write_text(
        "import itertools\ncount = itertools.count()\ndef run(arg): return next(count)\n"
    )
    assert [entry_of(f"{path}:run").function(None) for _ in range(2)] == [0, 1]


def test_a_method_that_needs_an_instance_gets_one(folder: Path) -> None:
    """`Class.method` is bound to an instance; a constructor that wants more is a clear error."""
    path = folder / "classes.py"
    path.write_text(
        "class Easy:\n    def run(self, arg): return arg, type(self).__name__\n"
        "class Hard:\n    def __init__(self, needed): pass\n    def run(self, arg): return arg\n"
    )
    assert entry_of(f"{path}:Easy.run").function(1) == (1, "Easy")
    assert "Hard() could not be made" in str(error_of(f"{path}:Hard.run"))


def test_a_target_that_cannot_be_unpickled_is_an_entrypoint_error() -> None:
    """A hook or value that is missing in the worker says so."""
    with pytest.raises(EntrypointError, match="cannot be unpickled in the worker"):
        load_target(b"cno_such_module\nthing\n.")
