"""`once_per_run`, a fixture: what is made once in a run, and shared by all workers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from workpool.pytest_plugin._shared_values import OncePerRun

_KEY: pytest.StashKey[OncePerRun] = pytest.StashKey()


@pytest.fixture(scope="session")
def once_per_run(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OncePerRun]:
    """Call it with a name and a function: the function is called once in a run, whatever its workers."""
    config = request.config
    is_worker = hasattr(config, "workerinput")
    found = config.stash.get(_KEY, None)
    if found is None:
        from workpool.pytest_plugin._shared_values import OncePerRun

        base = tmp_path_factory.getbasetemp()
        folder = base.parent if is_worker else base
        found = config.stash[_KEY] = OncePerRun(folder / "once-per-run")
    yield found
    # A worker sets fixtures up again when it comes by more tests: what is shared lives as long as its session.
    if not is_worker:
        found.close()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In a worker: let go of everything, when the fixtures of the session have been torn down."""
    found = session.config.stash.get(_KEY, None)
    if found is not None:
        found.close()
