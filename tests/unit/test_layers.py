"""The layers of the package: each imports only itself and what is below it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

SOURCE = Path(__file__).parents[2] / "src"

# Lowest first. A module that matches no pattern fails the test, so that this stays the whole map.
LAYERS = {
    "pure": [
        "workpool.errors",
        "workpool._worker_crashed",
        "workpool._checks",
        "workpool._chunk_size",
        "workpool._contiguous",
        "workpool._costs",
        "workpool._entrypoint",
        "workpool._frames",
        "workpool._ledger",
        "workpool._long_pickle",
        "workpool._messages",
        "workpool._options",
        "workpool._progress",
        "workpool._quick",
        "workpool._retry_policy",
        "workpool._scheduler",
        "workpool._pickling_by_value",
        "workpool._serialization",
        "workpool._target",
        "workpool._work_queue",
        "workpool._worker_config",
    ],
    "system": [
        "workpool._attached",
        "workpool._shared",
        "workpool._system",
        "workpool._system.*",
    ],
    "channels": ["workpool.channels", "workpool.channels.*"],
    "processes": [
        "workpool._fleet",
        "workpool._forked_template",
        "workpool._launcher",
        "workpool._output",
        "workpool._patient_timer",
        "workpool._requests",
        "workpool._restarts",
        "workpool._template",
        "workpool._templates",
        "workpool._worker",
        "workpool._worker.*",
        "workpool._worker_handle",
        "workpool._worker_process",
    ],
    "pool": [
        "workpool._announcer",
        "workpool._batch",
        "workpool._chunk_map",
        "workpool._batch_watch",
        "workpool._chunk_watch",
        "workpool._chunks",
        "workpool._dispatcher",
        "workpool._large_payloads",
        "workpool._packer",
        "workpool._wakeups",
        "workpool._ending",
        "workpool._engine",
        "workpool._estimates",
        "workpool._growth",
        "workpool._interrupts",
        "workpool._main_thread",
        "workpool._open_source",
        "workpool._map",
        "workpool._outcomes",
        "workpool._pauses",
        "workpool._pool",
        "workpool._process_source",
        "workpool._progress_bar",
        "workpool._shown_results",
        "workpool._report_reader",
        "workpool._revival",
        "workpool._source_methods",
        "workpool._source_reader",
        "workpool._statistics",
        "workpool._task",
        "workpool._task_loop",
        "workpool._waiters",
        "workpool._withdrawals",
    ],
    "blocking": [
        "workpool.executor",
        "workpool._executor_map",
        "workpool._executor_pool",
        "workpool._functions_of_main",
        "workpool.sync",
        "workpool.sync.*",
    ],
    "faces": [
        "workpool.__main__",
        "workpool.cli",
        "workpool.cli.*",
        "workpool.joblib",
        "workpool.joblib.*",
        "workpool.pytest_plugin",
        "workpool.pytest_plugin.*",
    ],
}
NAMES = list(LAYERS)
WORKER = ["workpool._worker", "workpool._worker.*"]
ASYNC_WORKER = ["workpool._worker.async_*"]


def matches(module: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(module, pattern) for pattern in patterns)


def name_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(SOURCE.glob("workpool/**/*.py"))}
# The package itself names everything public, lazily; it belongs to no layer.
LAYERED = [module for module in MODULES if module != "workpool"]


def layer_of(module: str) -> int:
    for number, patterns in enumerate(LAYERS.values()):
        if matches(module, patterns):
            return number
    pytest.fail(f"{module} belongs to no layer: add it to LAYERS in {Path(__file__).name}")


def executed(node: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes but those under `if TYPE_CHECKING:`: a type's name ties nothing together."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from executed(child)


def imported_by(module: str) -> Iterator[tuple[int, str]]:
    """Yield line and name of each module of this package that `module` imports, at any depth."""
    for node in executed(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = list(_from_import(module, node))
        else:
            continue
        for name in names:
            if name.partition(".")[0] == "workpool":
                yield node.lineno, name


def _from_import(module: str, node: ast.ImportFrom) -> Iterator[str]:
    source = node.module or ""
    if node.level:
        package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
        base = package.rsplit(".", node.level - 1)[0]
        source = f"{base}.{source}" if source else base
    for alias in node.names:
        submodule = f"{source}.{alias.name}"
        yield submodule if submodule in MODULES else source


def imports_above(module: str, ceiling: int) -> list[str]:
    return [
        f"{module}:{line} imports {name}"
        for line, name in imported_by(module)
        if name == "workpool" or layer_of(name) > ceiling
    ]


def fresh_import(statements: str, show: str) -> str:
    """Run `statements` in a new interpreter and return what the expression `show` prints."""
    program = f"import sys\nsys.path[:] = {sys.path!r}\n{statements}\nprint({show})"
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("module", [m for m in LAYERED if not matches(m, LAYERS["faces"])])
def test_a_module_imports_only_its_own_layer_and_those_below(module: str) -> None:
    """No import that is executed points upward, wherever in the module it stands."""
    assert imports_above(module, layer_of(module)) == []


@pytest.mark.parametrize("module", [m for m in LAYERED if matches(m, WORKER)])
def test_the_worker_side_imports_nothing_of_the_parent_side(module: str) -> None:
    """A worker is made of itself, the system layer and the pure one."""
    foreign = [
        f"{module}:{line} imports {name}"
        for line, name in imported_by(module)
        if not matches(name, WORKER)
        and (name == "workpool" or NAMES[layer_of(name)] == "processes")
    ]
    assert foreign == []


@pytest.mark.parametrize("module", [m for m in LAYERED if matches(m, LAYERS["faces"])])
def test_faces_use_the_public_api_alone(module: str) -> None:
    """What a face needs from the library, every user can have too."""
    own = ".".join(module.split(".")[:2])
    private = [
        f"{module}:{line} imports {name}"
        for line, name in imported_by(module)
        if not name.startswith(f"{own}.") and "._" in name
    ]
    assert private == []


def test_importing_the_package_loads_nothing_heavy() -> None:
    """`import workpool` is lazy: neither asyncio nor cloudpickle nor multiprocessing comes along."""
    heavy = "{'asyncio', 'cloudpickle', 'multiprocessing', 'concurrent.futures'}"
    assert fresh_import("import workpool", f"{heavy} & sys.modules.keys()") == "set()"


def test_the_worker_side_loads_asyncio_only_for_async_entrypoints() -> None:
    """Every module of a worker but the asynchronous ones loads without asyncio."""
    modules = [m for m in LAYERED if matches(m, WORKER) and not matches(m, ASYNC_WORKER)]
    # A module that runs the worker when it is imported is left out by its name.
    names = ", ".join(m for m in modules if not m.endswith("__main__"))
    heavy = "{'asyncio', 'cloudpickle', 'multiprocessing', 'concurrent.futures'}"
    assert fresh_import(f"import {names}", f"{heavy} & sys.modules.keys()") == "set()"
