"""Whether, and how, a run is taken over by the pool."""

from __future__ import annotations

from argparse import Namespace
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from workpool.pytest_plugin import _xdist_names
from workpool.pytest_plugin._early_plan import EarlyPlan, plan_early
from workpool.pytest_plugin._head_start import fork_template_early
from workpool.pytest_plugin._log_file import append_to_log_file, share_log_file
from workpool.pytest_plugin._options import Options, at_most, read_options
from workpool.pytest_plugin._xdist_nodes import auto_workers

if TYPE_CHECKING:
    from workpool.pytest_plugin._crew import Crew

_SHOWS_ONLY = (
    "collectonly",
    "showfixtures",
    "show_fixtures_per_test",
    "markers",
    "help",
    "version",
    "cacheshow",
    "setupplan",
)
"""Options that have something listed instead of tests run."""

_NEEDS_TERMINAL = {"usepdb": "--pdb", "trace": "--trace"}


_PLAN: pytest.StashKey[EarlyPlan] = pytest.StashKey()
_EARLY: pytest.StashKey[Crew] = pytest.StashKey()
"""The crew is imported where it is needed: never in a worker."""


def begin_early(config: pytest.Config, wanted: str, *, starts: bool) -> None:
    """Start the workers before the options are checked, if nothing known so far is against it.

    What they need to import takes them as long as it took pytest here, so it had better be done at
    the same time as what this process has still to do. Plugins that want to know early whether the
    run is parallel are told so, in a worker too: there, nothing is started.
    """
    known = config.known_args_namespace
    refused = (*_SHOWS_ONLY, *_NEEDS_TERMINAL, "numprocesses", "tx")
    if any(getattr(known, name, None) for name in refused):
        return
    with suppress(pytest.UsageError):  # which is for `activate` to raise
        options = read_options(config, wanted, known)
        if options is None:
            return
        if not starts:
            _xdist_names.show(known, options.workers)
            return
        plan = config.stash[_PLAN] = plan_early(config, options)
        if not plan.why_in_process:
            _xdist_names.show(known, plan.workers)
            _start(config, plan)


def _start(config: pytest.Config, plan: EarlyPlan) -> None:
    template = fork_template_early(config)  # before this process goes on importing
    from workpool.pytest_plugin._crew import Crew

    crew = config.stash[_EARLY] = Crew(plan.workers, template, plan.stages())
    config.add_cleanup(crew.kill)
    crew.start()


def activate(config: pytest.Config, wanted: str) -> None:
    """Register what runs the tests in workers, unless this run has to stay in this process.

    Raises `pytest.UsageError` for options that cannot be right.
    """
    options = _planned(config, wanted, config.option)
    if options is None or any(_is_set(config, name) for name in _SHOWS_ONLY):
        return
    reason = _why_in_process(config)
    if reason:
        from workpool.pytest_plugin._in_process import stay_in_process

        stay_in_process(config, reason, is_tiny=not _needs_terminal(config))
        return
    from workpool.pytest_plugin._controller import Controller
    from workpool.pytest_plugin._lasting_objects import LastingObjects

    if options.is_auto and (count := auto_workers(config)):
        options = replace(options, workers=at_most(count, config.option))
    crew = _crew(config, options.workers)
    config.pluginmanager.register(Controller(config, options, crew), "workpool-controller")
    config.pluginmanager.register(LastingObjects(config), "workpool-lasting-objects")


def prepare(config: pytest.Config, wanted: str) -> None:
    """Have plugins find what they know parallel runs by; raise `pytest.UsageError` if there are to be two kinds."""
    options = config.option
    if hasattr(config, "workerinput"):
        _xdist_names.take_place(config.pluginmanager)
        _xdist_names.hide(options)
        _xdist_names.settle_reruns()
        append_to_log_file(config)
        return
    if _xdist_names.is_real(config.pluginmanager) and (options.numprocesses or options.tx):
        raise pytest.UsageError(
            "--workpool and the options of pytest-xdist (-n, --tx) exclude each other: use one of them"
        )
    if _why_in_process(config):
        return
    given = _planned(config, wanted, options)
    if given is not None:
        _xdist_names.take_place(config.pluginmanager)
        _xdist_names.show(options, given.workers)
        if _xdist_names.is_real(config.pluginmanager):
            _xdist_names.hold_back(config.pluginmanager)
        share_log_file(config)


def _planned(config: pytest.Config, wanted: str, given: Namespace) -> Options | None:
    """Return the options, as far as they were decided on early as they were decided on then."""
    options = read_options(config, wanted, given)
    plan = config.stash.get(_PLAN, None)
    if options is None or plan is None or not options.is_auto:
        return options
    return replace(options, workers=min(options.workers, plan.workers))


def _why_in_process(config: pytest.Config) -> str:
    """Return why a run has no workers though they were asked for; empty if it has."""
    for name, spelling in _NEEDS_TERMINAL.items():
        if _is_set(config, name):
            return f"{spelling} needs the terminal, which workers have not"
    plan = config.stash.get(_PLAN, None)
    return "" if plan is None else plan.why_in_process


def _needs_terminal(config: pytest.Config) -> bool:
    return any(_is_set(config, name) for name in _NEEDS_TERMINAL)


def _crew(config: pytest.Config, workers: int) -> Crew:
    """Return the workers that were started early, unless there are to be another number of them."""
    crew = config.stash.get(_EARLY, None)
    if crew is not None and crew.count == workers:
        return crew
    if crew is not None:
        crew.kill()
    from workpool.pytest_plugin._crew import Crew

    return Crew(workers)


def _is_set(config: pytest.Config, name: str) -> Any:
    return config.getoption(name, None)
