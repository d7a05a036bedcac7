"""What the tests of this folder have in common: pytest runs inside a test, each in a process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.pytest_plugin.acceptance.inner")

from tests.pytest_plugin.acceptance.forker import Forker  # noqa: E402
from tests.pytest_plugin.acceptance.inner import Inner  # noqa: E402

HERE = Path(__file__).parent
DEADLINE = 120
PYTESTER_OPTIONS = {"runpytest": "subprocess", "lsof": False}


def pytest_configure(config: pytest.Config) -> None:
    """Load pytest's plugin for the tests of plugins.

    `pytest_plugins` is for the topmost conftest alone, where it would concern the whole suite. This
    one may be loaded after the options have been read: the plugin's own get their values here.
    """
    if not config.pluginmanager.has_plugin("pytester"):
        for name, value in PYTESTER_OPTIONS.items():
            setattr(config.option, name, value)
        config.pluginmanager.import_plugin("pytester")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give the tests of this folder more time, and one interpreter: each starts several processes."""
    if HERE not in item.path.parents:
        return
    item.add_marker(pytest.mark.once)
    if item.get_closest_marker("deadline") is None:
        item.add_marker(pytest.mark.deadline(DEADLINE))


@pytest.fixture(scope="session")
def forker() -> Iterator[Forker]:
    """Start the process that the runs are forks of."""
    forker = Forker()
    yield forker
    forker.close()


@pytest.fixture
def inner(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, forker: Forker) -> Inner:
    """Return an empty suite that can be filled and run."""
    return Inner(pytester, monkeypatch, forker)
