"""What no pool can beat: the bare mechanisms, measured in the same run."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Awaitable, Sequence
from time import perf_counter
from typing import Any, ClassVar

from benchmarks.contestants.base import BlockingContestant, Burst, Function
from benchmarks.contestants.loops import AsyncioContestant

MESSAGE = b"sixteen bytes go"
ECHO = """
import socket, sys
peer = socket.socket(fileno=int(sys.argv[1]))
while message := peer.recv(64):
    peer.send(message)
"""


class PingPong(BlockingContestant[None]):
    """Two processes and a socket pair: a message there, the same message back.

    The kernel puts them on one core or on two as it pleases, as it does with a pool's processes.
    The figure differs tenfold; hence the two other cases, each pinned.
    """

    places: ClassVar[tuple[slice, slice] | None] = None
    """Which of the usable cores are for this process, and which for the other."""

    def open(self, function: Function, workers: int) -> None:
        """Start the process that sends back; the function has no part in it."""
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-c", ECHO, str(theirs.fileno())]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
        if self.places is not None:
            cores = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, cores[self.places[0]])
            os.sched_setaffinity(self._process.pid, cores[self.places[1]])

    def close(self) -> None:
        """Hang up, which ends the other process."""
        self._socket.close()
        self._process.wait()

    def add(self, argument: Any) -> None:
        """Send."""
        self._socket.send(MESSAGE)

    def wait(self, handle: None) -> Any:
        """Receive."""
        self._socket.recv(64)
        return 0.0


class PingPongTogether(PingPong):
    """The same on one core."""

    places = (slice(1), slice(1))


class PingPongApart(PingPong):
    """The same on two cores, as far as there are two: one has to wake the other."""

    places = (slice(1), slice(-1, None))


class MemoryCopy(BlockingContestant[Any]):
    """An array copied into memory of its own, as it must be at least once each way."""

    def open(self, function: Function, workers: int) -> None:
        """Take the function that says what is wanted."""
        self._function = function

    def close(self) -> None:
        """Do nothing."""

    def add(self, argument: Any) -> Any:
        """Copy it there."""
        wish, array = argument
        return self._function((wish, array.copy()))

    def wait(self, handle: Any) -> Any:
        """Copy it back, if it comes back."""
        return handle.copy() if hasattr(handle, "copy") else handle


class BareFutures(AsyncioContestant):
    """asyncio's own cost: futures made, set from a callback and gathered, no process at all."""

    burst_range = (100_000, 100_000)

    async def start(self, function: Function, workers: int) -> None:
        """Take the loop."""
        self._loop = asyncio.get_running_loop()

    async def stop(self) -> None:
        """Do nothing."""

    def call(self, argument: Any) -> Awaitable[Any]:
        """Make a future that is set in the loop's next turn."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self._loop.call_soon(future.set_result, argument)
        return future

    async def _burst(self, arguments: Sequence[Any]) -> Burst:
        """Set all from one callback: a callback each is no cost that a pool must have."""
        start = perf_counter()
        futures = [self._loop.create_future() for _ in arguments]
        self._loop.call_soon(_resolve, futures, arguments)
        results = await asyncio.gather(*futures)
        return Burst(perf_counter() - start, results)


class BareInterpreter(BlockingContestant[None]):
    """`python -c pass`: the start and end of an interpreter that does nothing."""

    def open(self, function: Function, workers: int) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def add(self, argument: Any) -> None:
        """Run it."""
        subprocess.run([sys.executable, "-c", "pass"], check=True)

    def wait(self, handle: None) -> Any:
        """Return at once: it has ended."""
        return 0.0


def _resolve(futures: "list[asyncio.Future[Any]]", results: Sequence[float]) -> None:
    for future, result in zip(futures, results, strict=True):
        future.set_result(result)
