"""Where tasks race with their cancellation or their timeout: one pool, and neighbours of theirs."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from benchmarks.reliability.race_account import (
    CANCEL,
    CANCELLED,
    HUNG,
    NOBODY,
    RESULT,
    TIMED_OUT,
    TIMEOUT,
    Account,
)
from benchmarks.reliability.race_aim import Aim, Shot
from benchmarks.reliability.race_tasks import Order
from benchmarks.reliability.settings import Settings
from workpool import TaskTimeout, WorkerPool

Pool = WorkerPool[Order, int]

WORKERS = 3
NEIGHBOURS = 4
"""Tasks that nobody ends and that are always waiting or running: each worker has one to go on with."""

STOPPED_AFTER = 0.003
"""Seconds from its beginning until a task is cancelled or its time is up."""


@dataclass(frozen=True, slots=True)
class Round:
    """Races of one kind in one pool; all times in seconds."""

    title: str
    function: Callable[..., Any]
    ways: tuple[str, ...]
    """How the tasks pass their time."""
    neighbours_way: str
    range: dict[str, tuple[float, float]]
    """Between which limits the tasks of each way take: around the moments at which they are stopped."""
    share: float
    """Of all races of its settings."""
    longest_neighbour: float = 0.001
    grace: float | None = None
    """The grace of tasks that ignore their interruption, shortened; None for a round without them."""

    @property
    def is_stubborn(self) -> bool:
        """Whether its tasks race with the kill of their worker."""
        return self.grace is not None


class Field:
    """Has tasks race until as many have as were asked for, or one hangs."""

    def __init__(self, pool: Pool, each: Round, path: str, settings: Settings) -> None:
        self.accounts: list[Account] = []
        self.kills = 0
        self.has_hung = False
        self._pool = pool
        self._round = each
        self._path = path
        self._patience = settings.patience
        races = settings.stubborn_races if each.is_stubborn else settings.races
        self._left = round(races * each.share)
        self._dice = random.Random(f"{settings.seed} {each.title}")
        self._aims = {
            (way, ending): Aim(self._dice, *each.range[way])
            for way in each.ways
            for ending in (CANCEL, TIMEOUT)
        }
        self._beginnings: dict[int, asyncio.Future[float]] = {}
        self._aimed: dict[int, Aim] = {}
        pool.on_message("begun", self._on_begun)
        pool.on_message("ended", self._on_ended)
        pool.on("task-complete", self._on_complete)
        pool.on("worker-exited", self._on_exit)

    async def run(self) -> None:
        """Have as many race at a time as there are workers."""
        neighbours = [asyncio.create_task(self._neighbours()) for _ in range(NEIGHBOURS)]
        await asyncio.gather(*(self._race_on() for _ in range(WORKERS)))
        await asyncio.gather(*neighbours)

    async def _race_on(self) -> None:
        while self._left > 0 and not self.has_hung:
            self._left -= 1
            way, ending = self._dice.choice(list(self._aims))
            await self._race(way, ending)

    async def _neighbours(self) -> None:
        while self._left > 0 and not self.has_hung:
            seconds = self._dice.uniform(0, self._round.longest_neighbour)
            order = (self._round.neighbours_way, seconds, False)
            await self._finish(*self._add(order, NOBODY))

    async def _race(self, way: str, ending: str) -> None:
        """Add a task that ends about when it is stopped, stop it, and note its outcome."""
        aim = self._aims[way, ending]
        shot: Shot = aim.shoot()
        account, task = self._add((way, shot.seconds, True), ending)
        if shot.is_aimed:
            self._aimed[account.number] = aim
        if ending == CANCEL:
            await self._wait_for_moment(account.number, task)
            account.was_cancelled = task.cancel()
        await self._finish(account, task)

    def _add(
        self, order: tuple[str, float, bool], ending: str
    ) -> tuple[Account, "asyncio.Future[int]"]:
        way, seconds, is_watched = order
        account = Account(number=len(self.accounts), ending=ending)
        self.accounts.append(account)
        task = self._pool.add_task(
            (way, account.number, seconds, is_watched, self._path),
            timeout=STOPPED_AFTER if ending == TIMEOUT else None,
        )
        return account, task

    async def _finish(self, account: Account, task: "asyncio.Future[int]") -> None:
        await asyncio.wait([task], timeout=self._patience)
        account.outcome = _outcome(task)
        account.is_own = account.outcome != RESULT or task.result() == account.number
        self.has_hung = self.has_hung or account.outcome == HUNG

    async def _wait_for_moment(self, number: int, task: "asyncio.Future[int]") -> None:
        """Wait until a task has run for as long as it may."""
        begun = self._beginnings[number] = asyncio.get_running_loop().create_future()
        await asyncio.wait(
            [begun, task], timeout=self._patience, return_when=asyncio.FIRST_COMPLETED
        )
        del self._beginnings[number]
        if begun.done():
            due = begun.result() + STOPPED_AFTER
            await asyncio.sleep(max(0.0, due - perf_counter() - 0.0015))
            while perf_counter() < due:  # timers are exact to a millisecond only
                await asyncio.sleep(0)

    def _on_begun(self, content: tuple[int, float], _origin: Any) -> None:
        number, start = content
        if number in self._beginnings:
            self._beginnings[number].set_result(start)

    def _on_ended(self, content: tuple[int, float], _origin: Any) -> None:
        aim = self._aimed.pop(content[0], None)
        if aim is not None:
            aim.ended()

    def _on_complete(self, _error: Any, _result: Any, task: Any) -> None:
        self.accounts[task.argument[1]].completions += 1

    def _on_exit(self, _worker: Any, reason: str) -> None:
        self.kills += "SIGKILL" in reason


def _outcome(task: "asyncio.Future[int]") -> str:
    if not task.done():
        return HUNG
    if task.cancelled():
        return CANCELLED
    error = task.exception()
    if error is None:
        return RESULT
    return TIMED_OUT if isinstance(error, TaskTimeout) else f"{type(error).__name__}: {error}"
