"""What a breakpoint does in a worker, which has no terminal to debug at."""

from __future__ import annotations

import pdb  # noqa: T100 - to keep it from being used
from typing import Any, NoReturn

import pytest

_TEXT = (
    "a breakpoint needs the terminal, which a worker has not: run this test with --workpool=no, "
    "or with --pdb, which keeps the run in pytest's own process"
)


def refuse_breakpoints(config: pytest.Config) -> None:
    """Have a test fail that comes to one, unless it was said what debugger is to be used: that may do without."""
    if config.getoption("usepdb_cls", None) is None:
        # pytest has put its own there, and will put the first one back.
        for module in (pdb, pytest):
            vars(module)["set_trace"] = _refuse


def _refuse(*_: Any, **__: Any) -> NoReturn:
    __tracebackhide__ = True
    pytest.fail(_TEXT)
