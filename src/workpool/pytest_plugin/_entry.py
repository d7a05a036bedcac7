"""The workers' entrypoint with all it needs: a template imports this once, for all of them.

That includes the plugins that pytest itself loads. Others are imported by each worker: pytest rewrites
their asserts, which it has to be configured for. PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from importlib import import_module

from _pytest.config import default_plugins

from workpool.pytest_plugin import _test_runner  # noqa: F401 - the entrypoint's, when it is called
from workpool.pytest_plugin._worker import work

__all__ = ["work"]

for _name in default_plugins:
    import_module(f"_pytest.{_name}")
