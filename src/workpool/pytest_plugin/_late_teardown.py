"""A tear-down after its test has been reported: fixtures were left up for a test that then did not come.

It is done in the name of the test that ran last, as if that had been the last one all along: what is
printed and logged is captured, warnings are noted, a failure is an error of that test.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from _pytest.logging import caplog_records_key
from _pytest.runner import CallInfo, _update_current_test_var
from _pytest.warnings import catch_warnings_for_item

_WATCHERS = ("logging-plugin", "capturemanager")
"""Plugins of pytest's that watch what happens in a tear-down. Others have seen the one of this test already."""


def tear_down_late(last: pytest.Item, following: pytest.Item | None) -> pytest.TestReport | None:
    """Tear down what the test that ran last has left up, and the following one does not need.

    Return the report if there is something in it.
    """
    state = last.session._setupstate
    known = len(last._report_sections)
    with _watched(last):
        call = CallInfo.from_call(lambda: state.teardown_exact(following), when="teardown")
    report: pytest.TestReport = last.ihook.pytest_runtest_makereport(item=last, call=call)
    if report.outcome != "passed":
        return report
    # The others have been told with the test.
    added = last._report_sections[known:]
    report.sections = [(f"Captured {key} {when}", text) for when, key, text in added]
    report.user_properties = []
    return report if report.sections else None


@contextmanager
def _watched(item: pytest.Item) -> Iterator[None]:
    """Capture what is printed, logged and warned of in the name of the test."""
    config = item.config
    item.stash[caplog_records_key] = {}
    with ExitStack() as stack:
        _update_current_test_var(item, "teardown")
        stack.callback(_update_current_test_var, item, None)
        if config.pluginmanager.has_plugin("warnings"):
            stack.enter_context(catch_warnings_for_item(config, item.ihook, "runtest", item))
        for name in _WATCHERS:
            watcher: Any = config.pluginmanager.get_plugin(name)
            if watcher is not None:
                stack.enter_context(contextmanager(watcher.pytest_runtest_teardown)(item))
        yield
