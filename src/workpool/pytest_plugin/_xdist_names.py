"""What stands where plugins look for pytest-xdist, which is known by names: a plugin, options, hooks.

It is there in every run if pytest-xdist is not installed, so that command lines written for that work;
if it is installed and not used, only in runs that have workers of this package.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import pytest

from workpool.pytest_plugin import _xdist_hookspecs

NAME = "xdist"

_SCOPES = {
    "no": "auto",
    "load": "auto",
    "worksteal": "auto",
    "loadfile": "module",
    "loadscope": "class",
    "loadgroup": "group",
}
"""What each way of xdist's to distribute tests promises to keep together."""

_NO_WORKERS = ("0", "no")


class Names:
    """The plugin of that name. The fixtures are apart: they are there under any circumstances."""

    def __init__(self, *, has_options: bool) -> None:
        self.has_options = has_options

    def pytest_addoption(self, parser: pytest.Parser) -> None:
        """Register the options that command lines and scripts use."""
        if not self.has_options:
            return
        group = parser.getgroup(
            "workpool-xdist", "parallel tests, as pytest-xdist has it (workpool)"
        )
        group._addoption(  # one letter, in lower case, is for pytest's own otherwise
            "-n", "--numprocesses", metavar="N", default=None, help="As --workpool=N."
        )
        group.addoption(
            "--maxprocesses", metavar="N", type=int, help="Most workers that -n may start."
        )
        group.addoption(
            "--max-worker-restart",
            dest="maxworkerrestart",
            metavar="N",
            help="Taken and not used: a crash fails one test, and its worker is always replaced.",
        )
        group.addoption(
            "--dist",
            choices=[*_SCOPES],
            default="no",
            help="What stays together: with -n, loadfile means --workpool-scope=module, loadscope class, "
            "loadgroup group.",
        )

    def pytest_addhooks(self, pluginmanager: pytest.PytestPluginManager) -> None:
        """Make the hooks known."""
        pluginmanager.add_hookspecs(_xdist_hookspecs)


def offer(manager: pytest.PytestPluginManager) -> None:
    """Stand where pytest-xdist would, if it is not installed."""
    if importlib.util.find_spec(NAME) is None:
        manager.register(Names(has_options=True), NAME)


def adopt(manager: pytest.PytestPluginManager, options: Any) -> None:
    """Put what ``-n`` says where ``--workpool`` would have put it. Raises `pytest.UsageError`."""
    names = manager.get_plugin(NAME)
    if not (isinstance(names, Names) and names.has_options):
        return
    options.tx, options.distload = [], False
    if options.workpool_scope is None and options.dist != "no":
        options.workpool_scope = _SCOPES[options.dist]
    most = most_workers(options)
    restarts = options.maxworkerrestart
    if restarts is not None and not _is_count(restarts):
        raise pytest.UsageError(f"--max-worker-restart={restarts}: give a number, 0 or more")
    wanted = options.numprocesses
    if wanted is None:
        return
    if options.workpool is not None:
        raise pytest.UsageError("--workpool and -n mean the same: use one of them")
    options.workpool = _workers(wanted, most)
    options.numprocesses = None


def most_workers(options: Any) -> int | None:
    """Return what ``--maxprocesses`` says, if anything. Raises `pytest.UsageError` if that makes no sense."""
    most: int | None = getattr(options, "maxprocesses", None)
    if most is not None and most < 1:
        raise pytest.UsageError(f"--maxprocesses={most}: give a number of workers from 1")
    return most


def show(options: Any, workers: int) -> None:
    """Have the options tell those who ask them for xdist's that the run is parallel."""
    options.numprocesses = workers
    options.dist = "load" if getattr(options, "dist", "no") == "no" else options.dist
    options.tx = ["popen"] * workers


def hide(options: Any) -> None:
    """Have the options of a worker say what they say in xdist's workers."""
    options.numprocesses = options.maxprocesses = None
    options.dist, options.distload, options.tx = "no", False, []


def hold_back(manager: pytest.PytestPluginManager) -> None:
    """Have pytest-xdist, which starts a session of its own when that is asked for, not take it from what is shown.

    Other plugins may look at the options while they are configured, before it and after it. So it is only
    while that very function runs that there is nothing to be seen.
    """
    plugin = manager.get_plugin(NAME)
    implementations: list[Any] = manager.hook.pytest_configure.get_hookimpls()
    for implementation in implementations:
        if implementation.plugin is plugin:
            implementation.function = _without_workers(implementation.function)


def _without_workers(configure: Callable[..., None]) -> Callable[..., None]:
    @wraps(configure)
    def configure_without(config: pytest.Config) -> None:
        option = config.option
        shown = option.numprocesses, option.dist, option.tx
        option.numprocesses, option.dist, option.tx = None, "no", []
        try:
            configure(config=config)
        finally:
            option.numprocesses, option.dist, option.tx = shown

    return configure_without


def take_place(manager: pytest.PytestPluginManager) -> None:
    """Be there as ``xdist`` if nothing else is: it may be installed and not loaded, or switched off."""
    if not manager.hasplugin(NAME):
        manager.unblock(NAME)
        manager.register(Names(has_options=False), NAME)
    if not hasattr(manager.hook, "pytest_configure_node"):
        manager.add_hookspecs(_xdist_hookspecs)


def add_fixtures(manager: pytest.PytestPluginManager) -> None:
    """Register the fixtures, unless pytest-xdist has registered its own."""
    if is_real(manager):
        return
    from workpool.pytest_plugin import _xdist_fixtures

    manager.register(_xdist_fixtures, "workpool-xdist-fixtures")


def is_real(manager: pytest.PytestPluginManager) -> bool:
    """Whether pytest-xdist itself is loaded."""
    plugin = manager.get_plugin(NAME)
    return plugin is not None and not isinstance(plugin, Names)


def settle_reruns() -> None:
    """Tell pytest-rerunfailures that reports of tests it will run again may be logged in a worker.

    It looks for the version of pytest-xdist, and takes it to be too old if there is none.
    """
    plugin: Any = sys.modules.get("pytest_rerunfailures")
    if hasattr(plugin, "works_with_current_xdist"):
        plugin.works_with_current_xdist = lambda: True


def _workers(wanted: str, most: int | None) -> str:
    if wanted in _NO_WORKERS:
        return "no"
    if wanted in ("auto", "logical"):
        return "auto"
    if not _is_count(wanted):
        raise pytest.UsageError(f"-n {wanted}: give a number of workers, 'auto', or 0 for none")
    return wanted if most is None else str(min(int(wanted), most))


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit()
