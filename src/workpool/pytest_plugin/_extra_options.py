"""Options of what is off unless asked for, and whether it is asked for."""

from __future__ import annotations

from math import isfinite
from typing import Any

import pytest

from workpool.pytest_plugin import configured

_FAILURES = ("at-the-end", "at-once")
_VIEW = ("auto", "no")

_NEED_WORKERS = {"workpool_timeout": "--workpool-timeout", "workpool_slow": "--workpool-slow"}
"""What the controller sees to while workers run the tests."""


def add_extra_options(group: Any, parser: pytest.Parser) -> None:
    """Register the options and their counterparts in the configuration file."""
    group.addoption(
        "--workpool-retries",
        metavar="N",
        help="Run a test that fails up to N times more; one that passes then is FLAKY, and has passed.",
    )
    group.addoption(
        "--workpool-slow",
        metavar="SECONDS",
        help="Point out a test, while it runs, when it has run for so long, and each time it has once more.",
    )
    group.addoption(
        "--workpool-failures",
        choices=_FAILURES,
        help="at-once: show a failure when it happens, and again at the end with the others.",
    )
    group.addoption(
        "--workpool-view",
        choices=_VIEW,
        help="On a terminal, without -q, what the workers are doing is shown below the output; 'no' if not.",
    )
    parser.addini("workpool_retries", "As --workpool-retries.", default="")
    parser.addini("workpool_slow", "As --workpool-slow.", default="")
    parser.addini("workpool_failures", "As --workpool-failures.", default="")
    parser.addini("workpool_view", "As --workpool-view.", default="")


def set_up_extras(config: pytest.Config) -> None:
    """Register the plugins of what is asked for. Raises `pytest.UsageError` for values that cannot be."""
    retries = _given(config, "workpool_retries")
    if retries:
        from workpool.pytest_plugin._retries import register_retries

        register_retries(config, _count("--workpool-retries", retries))
    if _choice(config, "workpool_failures", _FAILURES) == "at-once":
        from workpool.pytest_plugin._failures_at_once import FailuresAtOnce

        config.pluginmanager.register(FailuresAtOnce(config), "workpool-failures")
    slow_seconds(config)
    wants_view(config)


def refuse_without_workers(config: pytest.Config) -> None:
    """Raise `pytest.UsageError` if the command line has options that need workers, and nobody has spoken of those."""
    given = [text for name, text in _NEED_WORKERS.items() if config.getoption(name) is not None]
    if given:
        verb = "need" if len(given) > 1 else "needs"
        raise pytest.UsageError(
            f"{' and '.join(given)} {verb} workers, and this run has none: add --workpool=auto, or =1 for a run "
            "like a serial one. --workpool=no says that the tests are to do without"
        )


def idle_without_workers(config: pytest.Config) -> str:
    """Return which options, the configuration file's included, do nothing in a run that has no workers."""
    return " and ".join(text for name, text in _NEED_WORKERS.items() if _given(config, name))


def slow_seconds(config: pytest.Config) -> float | None:
    """Return after how many seconds a test is to be pointed out, if at all."""
    text = _given(config, "workpool_slow")
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not (seconds > 0 and isfinite(seconds)):
        raise pytest.UsageError(f"--workpool-slow={text}: give a positive number of seconds")
    return seconds


def wants_view(config: pytest.Config) -> bool:
    """Whether the workers may be shown, where that is possible."""
    return _choice(config, "workpool_view", _VIEW) != "no"


def _given(config: pytest.Config, name: str) -> str:
    value = config.getoption(name)
    return configured(config, name) if value is None else str(value)


def _choice(config: pytest.Config, name: str, choices: tuple[str, ...]) -> str:
    value = _given(config, name)
    if value and value not in choices:
        raise pytest.UsageError(f"{name} is {value!r}: use one of {', '.join(choices)}")
    return value


def _count(option: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise pytest.UsageError(f"{option}={text}: give a number of times, 0 or more")
    return int(text)
