"""Parallel pytest on the pool: ``pytest --workpool=auto``.

pytest imports this module in every run in which the package is installed, so it holds the options
and one question; the rest is imported when the answer is yes. PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

WORKER_PLUGIN = "workpool-worker"
"""The name of a plugin that only workers have."""

SCOPES = ("auto", "test", "class", "module", "group")

MARKERS = (
    "serial(name=None): run it while no other test runs; with a name, while no other of that name does",
    "workpool_group(name): keep the tests of one name in one worker, one after another",
    "xdist_group(name): as workpool_group",
)


def is_worker(request_or_config: Any) -> bool:
    """Return whether this process is a worker, of this package's or of pytest-xdist's."""
    return get_worker_id(request_or_config) != "master"


def get_worker_id(request_or_config: Any) -> str:
    """Return the name of this worker, such as "gw0"; "master" in the process that was started.

    Takes what has a configuration: a request, a session, an item, or the configuration itself.
    """
    config = getattr(request_or_config, "config", request_or_config)
    return str(getattr(config, "workerinput", {}).get("workerid", "master"))


def configured(config: pytest.Config, name: str) -> str:
    """Return a setting of the configuration file as text: TOML has numbers too."""
    try:
        return str(config.getini(name))
    except (TypeError, pytest.UsageError):  # pytest wants text of an option that may be a word
        value = getattr(getattr(config, "_inicfg", {}).get(name), "value", None)
        if type(value) in (int, float):
            return str(value)
        raise


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Register the options and their counterparts in the configuration file."""
    _leave_unrewritten(pluginmanager)
    from workpool.pytest_plugin import _xdist_names
    from workpool.pytest_plugin._extra_options import add_extra_options

    _xdist_names.offer(pluginmanager)
    group = parser.getgroup("workpool", "parallel tests (workpool)")
    group.addoption(
        "--workpool",
        metavar="N",
        help="Run the tests in N worker processes; 'auto' for as many as CPUs and tests; 'no' for none.",
    )
    group.addoption(
        "--workpool-scope",
        choices=SCOPES,
        help="What is never split between workers: test, class, module or group (marks alone). "
        "'auto', the default, keeps modules together while that costs no time.",
    )
    group.addoption(
        "--workpool-timeout",
        type=float,
        metavar="SECONDS",
        help="End a test, set-up and tear-down included, that takes longer.",
    )
    add_extra_options(group, parser)
    parser.addini("workpool", "How many workers run the tests, unless --workpool says.", default="")
    parser.addini("workpool_scope", "As --workpool-scope.", default="")
    parser.addini("workpool_timeout", "As --workpool-timeout.", default="")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    """Start the workers' interpreters while pytest reads its conftests, if it is certain that there are any."""
    from workpool.pytest_plugin import _xdist_names

    known = early_config.known_args_namespace
    _xdist_names.adopt(early_config.pluginmanager, known)
    wanted = _wanted(early_config, known)
    if wanted is not None:
        from workpool.pytest_plugin._activation import begin_early

        is_worker = early_config.pluginmanager.has_plugin(WORKER_PLUGIN)
        begin_early(early_config, wanted, starts=not is_worker)
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Prepare what plugins look at when they are configured."""
    from workpool.pytest_plugin import _xdist_names

    _xdist_names.adopt(config.pluginmanager, config.option)
    wanted = _wanted(config, config.option)
    if wanted is not None:
        from workpool.pytest_plugin._activation import prepare

        prepare(config, wanted)


def pytest_configure(config: pytest.Config) -> None:
    """Take the run over if that is asked for."""
    from workpool.pytest_plugin import _once_per_run, _xdist_names
    from workpool.pytest_plugin._extra_options import refuse_without_workers, set_up_extras

    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    _xdist_names.add_fixtures(config.pluginmanager)
    config.pluginmanager.register(_once_per_run, "workpool-once-per-run")
    set_up_extras(config)
    if hasattr(config, "workerinput"):
        return
    wanted = _wanted(config, config.option)
    if wanted is None:
        refuse_without_workers(config)
        return
    from workpool.pytest_plugin._activation import activate

    activate(config, wanted)


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say which options have nothing to do in a run that has no workers."""
    from workpool.pytest_plugin._extra_options import idle_without_workers

    idle = idle_without_workers(config)
    if not idle or config.pluginmanager.hasplugin("workpool-controller"):
        return None
    return f"workpool: {idle}: of no effect, for this run has no workers"


def _wanted(config: pytest.Config, options: Any) -> str | None:
    """Return how many workers were asked for; None if that was not spoken of."""
    wanted: str | None = options.workpool
    return configured(config, "workpool") or None if wanted is None else wanted


def _leave_unrewritten(manager: pytest.PytestPluginManager) -> None:
    """Spare pytest the rewriting of this package's asserts: it means to do that for all of a plugin's package."""
    hook = manager.rewrite_hook
    marked = getattr(hook, "_must_rewrite", None)
    if isinstance(marked, set):
        marked -= {"workpool", "workpool.pytest_plugin"}
        getattr(hook, "_marked_for_rewrite_cache", {}).clear()
