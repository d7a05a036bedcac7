"""What holds for every test: a deadline, nothing left behind, coroutines run as tests."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import inspect
import os
import signal
import sys
from collections.abc import Generator, Iterator
from types import FrameType

import pytest
from _pytest.outcomes import Failed
from hypothesis import settings

from tests import leftovers

DEFAULT_DEADLINE = 30.0
# A test stuck where Python cannot run a signal handler (a C call) ends the whole run this much later.
LAST_RESORT_AFTER = 10.0
# The loop reports an exception raised inside a callback and goes on: ring again until one lands.
RING_AGAIN_EVERY = 0.5
# But not while pytest itself is at work between the test and the end of its fixtures.
TEAR_DOWN_SECONDS = 5.0

FAILED = pytest.StashKey[bool]()
TOOK_TOO_LONG = pytest.StashKey[bool]()
REAL_STDERR = pytest.StashKey[int]()

# Every run tries the same examples: what fails on one machine fails on all.
settings.register_profile("workpool", deadline=None, derandomize=True, database=None)
settings.load_profile("workpool")


class DeadlineExceeded(Failed):
    """The test took too long.

    No `Exception`, so that no `except Exception` swallows it; but what `pytest.fail` raises, so that
    the other fixtures are torn down all the same when it hits one of them.
    """


def pytest_configure(config: pytest.Config) -> None:
    """Keep the terminal's standard error: inside a test, descriptor 2 is pytest's capture file."""
    config.stash[REAL_STDERR] = os.dup(sys.__stderr__.fileno() if sys.__stderr__ else 2)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close what `pytest_configure` opened."""
    os.close(config.stash[REAL_STDERR])


def pytest_collection_finish() -> None:
    """Let the garbage collections after the tests pass over pytest's own heap."""
    collect_garbage()


def collect_garbage() -> None:
    """Collect what nobody holds any more; let later collections pass over what is held now.

    What pytest and hypothesis remember grows with every test: looked through after each of the last
    thousand, it took more time than those tests.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine function as a test, in a new event loop."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    with asyncio.Runner(debug=False) as runner:
        runner.run(pyfuncitem.obj(**arguments))
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember that a test failed: its traceback keeps objects alive that would look leaked.

    For one that took too long nothing rings while that is reported, nor for any other test.
    """
    if call.excinfo is not None:
        item.stash[FAILED] = True
        if call.excinfo.errisinstance(DeadlineExceeded):
            item.stash[TOOK_TOO_LONG] = True
            signal.setitimer(signal.ITIMER_REAL, 0)
    if call.when == "teardown":
        signal.setitimer(signal.ITIMER_REAL, 0)
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Give a test that took too long some time to be torn down before it is rung for again."""
    if TOOK_TOO_LONG in item.stash:
        signal.setitimer(signal.ITIMER_REAL, TEAR_DOWN_SECONDS, RING_AGAIN_EVERY)


@pytest.fixture(autouse=True)
def deadline(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test after its deadline, wherever it waits.

    `@pytest.mark.deadline(seconds)` sets another one than the default.
    """
    marker = request.node.get_closest_marker("deadline")
    seconds = float(marker.args[0]) if marker else DEFAULT_DEADLINE

    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise DeadlineExceeded(f"{request.node.nodeid} took longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    stderr = request.config.stash[REAL_STDERR]
    faulthandler.dump_traceback_later(seconds + LAST_RESORT_AFTER, exit=True, file=stderr)
    signal.setitimer(signal.ITIMER_REAL, seconds, RING_AGAIN_EVERY)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def keyboard_interrupts() -> Iterator[None]:
    """Let SIGINT raise `KeyboardInterrupt`, as in a program of its own.

    In a worker, in which the tests may run as well, it is obeyed only when it is meant for a task.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def leaves_nothing_behind(request: pytest.FixtureRequest, deadline: None) -> Iterator[None]:
    """Fail the test if a child process, a zombie or an open descriptor is left when it ends."""
    before = leftovers.take_census()
    yield
    collect_garbage()
    left = leftovers.wait_until_nothing_is_left(before)
    leftovers.end_children(left)
    if left and not request.node.stash.get(FAILED, False):
        pytest.fail("the test left behind:\n" + left.describe(), pytrace=False)
