"""Hooks of parallel runs, under the names that pytest-xdist has given them.

They are called in the controller. Suites and plugins implement them to hand something to each
worker, and to take something back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest


@pytest.hookspec()
def pytest_xdist_setupnodes(config: pytest.Config, specs: Sequence[Any]) -> None:
    """Called before any node is set up."""


@pytest.hookspec()
def pytest_xdist_newgateway(gateway: Any) -> None:
    """Called when a worker was started."""


@pytest.hookspec()
def pytest_xdist_rsyncstart(source: Any, gateways: Any) -> None:
    """Never called: the workers use the files where they are."""


@pytest.hookspec()
def pytest_xdist_rsyncfinish(source: Any, gateways: Any) -> None:
    """Never called: the workers use the files where they are."""


@pytest.hookspec(firstresult=True)
def pytest_xdist_getremotemodule() -> Any:
    """Never called: the workers have a module of their own."""


@pytest.hookspec()
def pytest_configure_node(node: Any) -> None:
    """Called before a worker opens its session: what is in `node.workerinput` then is given to it."""


@pytest.hookspec()
def pytest_testnodeready(node: Any) -> None:
    """Called when a worker has opened its session."""


@pytest.hookspec()
def pytest_testnodedown(node: Any, error: object | None) -> None:
    """Called when a worker has ended; `node.workeroutput` is what its session has left, if it ended well."""


@pytest.hookspec()
def pytest_xdist_node_collection_finished(node: Any, ids: Sequence[str]) -> None:
    """Called when it is known which tests a worker has collected."""


@pytest.hookspec(firstresult=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Never called: which worker runs which test is decided otherwise here."""


@pytest.hookspec(firstresult=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Called to learn how many workers 'auto' means; None for as many as CPUs."""


@pytest.hookspec()
def pytest_handlecrashitem(crashitem: str, report: pytest.TestReport, sched: Any) -> None:
    """Called with the report of a test that has ended its worker; may change it, or have the test run again."""
