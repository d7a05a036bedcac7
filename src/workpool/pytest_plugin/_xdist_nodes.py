"""The workers as plugins for pytest-xdist know them: nodes, each with what goes in and what comes out."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from workpool.pytest_plugin import _xdist_names
from workpool.pytest_plugin._collection import nodeid_of


class Gateway:
    """What leads to a worker: its name, and the interpreter there."""

    def __init__(self, name: str) -> None:
        self.id = name
        self.spec = SimpleNamespace(id=name, popen=True, chdir=None, via=None)

    def _rinfo(self) -> Any:
        return SimpleNamespace(
            platform=sys.platform,
            version_info=tuple(sys.version_info),
            executable=sys.executable,
            cwd=os.getcwd(),  # noqa: PTH109 - it is text that is asked for
        )

    def __repr__(self) -> str:
        return f"<Gateway id={self.id!r}>"


class Node:
    """A worker, for hooks and reports."""

    def __init__(self, worker: int, config: pytest.Config, nodes: Nodes) -> None:
        self.config = config
        self.gateway = Gateway(f"gw{worker}")
        self.nodemanager = nodes
        self.workerinput: dict[str, Any] = {}
        """What the worker will find in ``config.workerinput``."""
        self.workeroutput: dict[str, Any]
        """What its session has left in ``config.workeroutput``, when that has ended."""
        self.workerinfo = {
            "id": self.gateway.id,
            "version": sys.version,
            "version_info": tuple(sys.version_info),
            "sysplatform": sys.platform,
            "platform": sys.platform,
            "executable": sys.executable,
            "cwd": os.getcwd(),  # noqa: PTH109 - it is text that is asked for
        }
        self.is_open = False
        self.is_ready = self.has_told_tests = False

    def begin(self, **given: Any) -> None:
        """Be the node of a worker that is about to open its session, perhaps after another one there."""
        self.workerinput = given
        vars(self).pop("workeroutput", None)
        self.is_open = True
        self.is_ready = self.has_told_tests = False

    def __repr__(self) -> str:
        return f"<Node {self.gateway.id}>"


class Scheduling:
    """What a hook is given that may have a test run again."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.pending: list[str] = []

    def mark_test_pending(self, item: str) -> None:
        """Have a test run again."""
        self.pending.append(item)


class Nodes:
    """All nodes of a run, and the hooks that are told of them."""

    def __init__(self, config: pytest.Config, workers: int, run_id: str) -> None:
        self.config = config
        self.roots: list[str] = []
        self.specs = [Gateway(f"gw{worker}").spec for worker in range(workers)]
        self.testrunuid = run_id
        self._workers = workers
        self._hook: Any = config.hook
        self._nodes: dict[int, Node] = {}
        self.report_fields: list[dict[str, Any]] = [{} for _ in range(workers)]
        """What the reports of each worker have beside pytest's fields."""

    def set_up(self) -> None:
        """Tell that there will be nodes."""
        _xdist_names.show(self.config.option, self._workers)
        self._hook.pytest_xdist_setupnodes(config=self.config, specs=self.specs)

    def input_of(self, worker: int) -> dict[str, Any]:
        """Make the node of a worker that is about to open its session; return what that is to be given."""
        self.went_down(worker, None, "the worker was replaced")
        node = self._nodes.setdefault(worker, Node(worker, self.config, self))
        name = node.gateway.id
        node.begin(
            workerid=name,
            workercount=self._workers,
            testrunuid=self.testrunuid,
            mainargv=list(sys.argv),
        )
        self.report_fields[worker].update(node=node, worker_id=name, testrun_uid=self.testrunuid)
        self._hook.pytest_xdist_newgateway(gateway=node.gateway)
        self._hook.pytest_configure_node(node=node)
        return dict(node.workerinput)

    def is_ready(self, worker: int) -> None:
        """Tell that a worker has opened its session."""
        node = self._nodes.get(worker)
        if node is not None:
            node.is_ready = True
            self._hook.pytest_testnodeready(node=node)

    def has_collected(self, worker: int, names: Sequence[str]) -> None:
        """Tell which tests a worker has."""
        hook = self._hook.pytest_xdist_node_collection_finished
        node = self._nodes.get(worker)
        if node is None or not names or node.has_told_tests:
            return
        node.has_told_tests = True
        if hook.get_hookimpls():
            hook(node=node, ids=[nodeid_of(name) for name in names])

    def went_down(self, worker: int, output: Any, error: object | None) -> None:
        """Tell, once, that a worker has ended, and what it has left."""
        node = self._nodes.get(worker)
        if node is None or not node.is_open:
            return
        node.is_open = False
        if output is not None:
            node.workeroutput = output
        self._hook.pytest_testnodedown(node=node, error=error)

    def all_are_down(self) -> None:
        """Tell of those that have ended without a word, unless they came too late to be of use."""
        for worker in [number for number, node in self._nodes.items() if node.is_ready]:
            self.went_down(worker, None, "the worker has not closed its session")

    def handle_crash(self, worker: int, name: str, report: pytest.TestReport) -> bool:
        """Let plugins deal with the report of a lost test; return whether they have it run again."""
        vars(report).update(self.report_fields[worker])
        scheduling = Scheduling(self.config)
        self._hook.pytest_handlecrashitem(
            crashitem=nodeid_of(name), report=report, sched=scheduling
        )
        return bool(scheduling.pending)


def auto_workers(config: pytest.Config) -> int | None:
    """Return how many workers 'auto' means, if a plugin or the variable of pytest-xdist's says so."""
    hook = getattr(config.hook, "pytest_xdist_auto_num_workers", None)
    own = [
        implementation
        for implementation in (hook.get_hookimpls() if hook is not None else ())
        if not str(implementation.function.__module__).startswith("xdist.")
    ]
    found = hook(config=config) if hook is not None and own else None
    if found is None:
        text = os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS", "")
        found = int(text) if text.isascii() and text.isdigit() else None
    return int(found) if isinstance(found, int) and found > 0 else None
