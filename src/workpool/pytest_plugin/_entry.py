"""The workers' entrypoint with all it needs: a template imports this once, for all of them.

That includes the plugins that pytest itself loads. Others are imported by each worker: pytest rewrites
their asserts, which it has to be configured for. PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from importlib import import_module

from _pytest.config import default_plugins

from workpool.pytest_plugin import _once_per_run, _test_runner, _xdist_fixtures
from workpool.pytest_plugin._worker import work

__all__ = ["work"]

_NEEDED_LATER = (_once_per_run, _test_runner, _xdist_fixtures)
_IMPORTED_BY_PYTEST = ("pdb",)
"""What pytest imports in every session, when it is configured."""

for _name in (*[f"_pytest.{name}" for name in default_plugins], *_IMPORTED_BY_PYTEST):
    import_module(_name)
