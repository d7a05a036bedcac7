"""Every form of entrypoint, and everything that cannot be one."""

from __future__ import annotations

import functools
import pickle
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import children
from tests.decorated_children import decorated
from workpool import Entrypoint, EntrypointError, EntrypointFunction, entrypoint
from workpool._entrypoint import find_target
from workpool._target import Target, parse_specification

HERE = str(Path(children.__file__).resolve())


def found(given: object) -> tuple[str | None, str | None, str]:
    target = find_target(given)
    return target.module, target.path, target.symbol


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> types.ModuleType:
    """Put a running script in the place of `__main__`; return its module."""
    module = types.ModuleType("__main__")
    path = tmp_path / "script.py"
    path.write_text("def job(arg): return arg\nclass Tool:\n    def run(self, arg): return arg\n")
    module.__file__ = str(path)
    exec(compile(path.read_text(), str(path), "exec"), module.__dict__)
    monkeypatch.setitem(sys.modules, "__main__", module)
    return module


@pytest.mark.parametrize(
    ("given", "module", "symbol"),
    [
        (children.double, "children", "double"),
        (children.double_async, "children", "double_async"),
        (children.Doubler.static, "children", "Doubler.static"),
        (decorated, "decorated_children", "decorated"),
        (children.Doubler, "children", "Doubler"),
    ],
)
def test_an_importable_function_goes_by_name(given: object, module: str, symbol: str) -> None:
    """Workers import what can be imported; nothing of it is pickled."""
    assert found(given) == (f"tests.{module}", None, symbol)
    assert find_target(given).value is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pkg.mod:render", ("pkg.mod", None, "render")),
        ("mod:Renderer.run", ("mod", None, "Renderer.run")),
    ],
)
def test_a_string_names_module_and_symbol(
    text: str, expected: tuple[str | None, str | None, str]
) -> None:
    """Dotted names are passed on; nothing is imported in the pool's process."""
    assert found(text) == expected
    module, _, symbol = expected
    assert module is not None
    assert found(Entrypoint(module, symbol)) == expected
    assert module not in sys.modules


def test_a_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker finds the file wherever the parent has gone meanwhile."""
    monkeypatch.chdir(tmp_path)
    path = str(tmp_path.resolve() / "render.py")
    for text in ("render.py:run", "./render.py:run", "../" + tmp_path.name + "/render.py:run"):
        assert found(text) == (None, path, "run")


def test_a_file_that_is_loaded_keeps_its_module_name() -> None:
    """What the parent knows as a module has the same name in the workers, so pickles agree."""
    assert found(f"{HERE}:double") == ("tests.children", HERE, "double")


def test_attributes_tell_where_a_function_is() -> None:
    """`module_path` and `module_symbol` on a function win over where it was found."""
    target = find_target(children.attributed)
    assert (target.path, target.symbol) == (HERE, "attributed")
    assert set(target.hooks) == {"on_worker_start", "on_worker_exit", "pre_task"}


def test_hooks_come_with_the_explicit_pair() -> None:
    """Hooks given to `Entrypoint` are told to the workers, absent ones are not."""
    target = find_target(Entrypoint("pkg.mod", "run", pre_task=children.note_before))
    assert target.hooks == {"pre_task": children.note_before}


def test_a_decorated_function_is_still_called_like_itself() -> None:
    """The decorator keeps call, name, docstring and signature; its hooks are given back as is."""

    def job(arg: int) -> int:
        """Add one."""
        return arg + 1

    made = entrypoint(job)
    assert isinstance(made, EntrypointFunction)
    assert made(1) == made(arg=1) == 2
    assert (vars(made)["__name__"], made.__doc__) == ("job", "Add one.")
    hook = made.on_worker_start(lambda client: None)
    assert made.hooks == {"on_worker_start": hook}
    with pytest.raises(TypeError, match="on_worker_exit must be callable"):
        made.on_worker_exit(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "make",
    [
        lambda: lambda arg: arg,
        lambda: functools.partial(children.make, int),
        lambda: children.Doubler().method,
        children.Doubler,
    ],
    ids=["lambda", "partial", "bound method", "callable object"],
)
def test_what_has_no_name_to_be_found_by_goes_by_value(make: Callable[[], Any]) -> None:
    """Closures, partials, bound methods and callable objects are sent themselves."""
    given = make()
    target = find_target(given)
    assert target.value is given
    assert target.module is target.path is None
    assert target.symbol


def test_a_shadowed_function_goes_by_value() -> None:
    """A function whose name now means something else is not looked up under that name."""

    def double(number: int) -> int:
        return number

    double.__module__, double.__qualname__ = "tests.children", "double"
    assert find_target(double).value is double


def test_functions_of_the_running_script_go_by_value(main: types.ModuleType) -> None:
    """`__main__` is not imported again in a worker: no guard is needed in it."""
    job = main.__dict__["job"]
    assert find_target(job).value is job
    assert find_target("__main__:job").value is job
    assert find_target(f"{main.__file__}:job").value is job
    assert find_target("__main__:Tool.run").value is main.__dict__["Tool"].run


def test_a_symbol_the_running_script_lacks_is_an_error_at_once(main: types.ModuleType) -> None:
    """`__main__` cannot be looked at in a worker, so it is looked at here."""
    with pytest.raises(EntrypointError, match="no symbol 'later'") as caught:
        find_target("__main__:later")
    assert (caught.value.module, caught.value.symbol) == ("__main__", "later")


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "mod",
        "mod:",
        ":run",
        "mod:run it",
        "mod:1st",
        "mod:a..b",
        "mod:.a",
        "a b:run",
        "pkg..mod:run",
        "1:run",
        "mod.:run",
    ],
)
def test_a_string_that_names_nothing_is_refused(text: str) -> None:
    """A wrong specification is one clear sentence, before any worker starts."""
    with pytest.raises(EntrypointError, match="module") as caught:
        find_target(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("given", [None, 42, b"mod:run", ("mod", "run"), ["mod:run"], object()])
def test_what_is_no_entrypoint_is_refused_with_its_type(given: object) -> None:
    """The error names the forms there are and the type that was given."""
    with pytest.raises(EntrypointError, match=type(given).__name__):
        find_target(given)


def test_a_module_path_of_the_wrong_type_is_a_clear_error() -> None:
    """`Entrypoint` takes text; anything else is told so, not tripped over."""
    for wrong in (None, 7):
        with pytest.raises((EntrypointError, TypeError), match="module_path"):
            find_target(Entrypoint(wrong, "run"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a:b", ("a", "b")),
        ("a.b:c.d", ("a.b", "c.d")),
        ("/x/y:z.py:run", ("/x/y:z.py", "run")),
    ],
)
def test_a_specification_is_split_at_its_last_colon(text: str, expected: tuple[str, str]) -> None:
    """A path may hold colons, a symbol may not."""
    assert parse_specification(text) == expected


def test_targets_survive_pickling() -> None:
    """Workers get the target as the pool made it."""
    target = find_target(Entrypoint("pkg.mod", "run", pre_task=children.note_before))
    back: Target = pickle.loads(pickle.dumps(target, 5))
    assert (back.module, back.path, back.symbol) == ("pkg.mod", None, "run")
    assert back.hooks == target.hooks
    assert back.text == target.text == "pkg.mod:run"
