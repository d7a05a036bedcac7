"""Tasks that end as near as possible to their cancellation or their timeout, with others around them.

Each race is lost by one side in a stretch of a few milliseconds: the outcome against the
cancellation in the parent, and the signal (or the message), 2 ms later, against the end of the task in
the worker, which then goes on with a neighbour that nobody may end. Stubborn tasks, which do not
mind being interrupted, race with the kill at the end of their grace, which is shortened for them.
"""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.reliability import journal
from benchmarks.reliability.finding import Finding, none_of, told
from benchmarks.reliability.race_account import (
    HUNG,
    NEVER_BEGUN,
    NOBODY,
    RESULT,
    RUN_ONCE,
    STALE_RESULT,
    WRONG_KILL,
    Account,
)
from benchmarks.reliability.race_field import STOPPED_AFTER, WORKERS, Field, Round
from benchmarks.reliability.race_tasks import (
    C_CALL,
    DOZE,
    SPIN,
    STUBBORN,
    TURNS,
    race,
    race_async,
)
from benchmarks.reliability.settings import Settings
from workpool import WorkerPool, _interrupts

GRACE = 0.02
ASYNC_GRACE = 0.25
"""Longer: a worker that does not get to read its mail within the grace counts as blocked, and on a busy
machine one may not get to anything for some tens of milliseconds."""

INTERRUPTED_AFTER = STOPPED_AFTER + _interrupts.SETTLE_SECONDS
AROUND_BOTH = (STOPPED_AFTER - 0.0005, INTERRUPTED_AFTER + 0.0025)
"""From a little before the cancellation to a little after the interruption."""

FROM_INTERRUPTION = (GRACE - 0.003, GRACE + 0.008)
"""Around the kill; a stubborn task counts its seconds from when it is interrupted."""

FROM_BEGINNING = (
    INTERRUPTED_AFTER + FROM_INTERRUPTION[0],
    INTERRUPTED_AFTER + FROM_INTERRUPTION[1],
)
"""The same for a C call, which hears of nothing."""

AROUND_STOP = (ASYNC_GRACE - 0.001, ASYNC_GRACE + 0.06)
"""An async worker is told to stop then, and killed when its other tasks have ended."""

ROUNDS = (
    Round(
        title="sync",
        function=race,
        ways=(SPIN, C_CALL, DOZE),
        neighbours_way=SPIN,
        range=dict.fromkeys((SPIN, C_CALL, DOZE), AROUND_BOTH),
        share=0.7,
    ),
    Round(
        title="async",
        function=race_async,
        ways=(DOZE, TURNS),
        neighbours_way=DOZE,
        range=dict.fromkeys((DOZE, TURNS), AROUND_BOTH),
        share=0.3,
    ),
    Round(
        title="stubborn sync",
        function=race,
        ways=(STUBBORN, C_CALL),
        neighbours_way=SPIN,
        range={
            STUBBORN: FROM_INTERRUPTION,
            C_CALL: FROM_BEGINNING,
        },
        share=0.6,
        grace=GRACE,
    ),
    Round(
        title="stubborn async",
        function=race_async,
        ways=(STUBBORN,),
        neighbours_way=DOZE,
        range={STUBBORN: AROUND_STOP},
        share=0.4,
        longest_neighbour=0.03,
        grace=ASYNC_GRACE,
    ),
)

_FAULTS_SHOWN = 5


def measure(settings: Settings) -> list[Finding]:
    """Run all rounds and count what must not be."""
    accounts: list[Account] = []
    findings: list[Finding] = []
    for each in ROUNDS:
        with _grace(each.grace or _interrupts.CANCEL_GRACE):
            found, kills = asyncio.run(_run(each, settings))
        accounts += found
        findings.append(_describe(each, found, kills))
        if not each.is_stubborn:
            # Nothing there outlives its grace of a second: who is killed is killed wrongly.
            findings.append(none_of(f"{each.title}: workers killed", kills))
    return [*_judge(accounts), *findings]


def _judge(accounts: list[Account]) -> list[Finding]:
    faults = [fault for account in accounts for fault in account.faults()]
    return [
        none_of(kind, len(found), " / ".join(found[:_FAULTS_SHOWN]))
        for kind in (WRONG_KILL, STALE_RESULT, HUNG)
        for found in [[fault for fault in faults if fault.startswith(f"{kind}:")]]
    ]


def _describe(each: Round, accounts: list[Account], kills: int) -> Finding:
    """Tell how the races went: near ones are won now by the one side, now by the other."""
    raced = [account for account in accounts if account.ending != NOBODY]
    ends = Counter(_winner(account) for account in raced)
    shares = ", ".join(f"{name} {count}" for name, count in ends.most_common())
    neighbours = len(accounts) - len(raced)
    remark = f"{shares}; {kills} workers killed; {neighbours} neighbours"
    return told(f"{each.title}: races", len(raced), remark=remark)


def _winner(account: Account) -> str:
    if account.outcome == RESULT:
        return "in time"
    if account.marks == NEVER_BEGUN:
        return "never begun"
    return "ended, too late" if account.marks == RUN_ONCE else "interrupted"


@contextmanager
def _grace(seconds: float) -> Iterator[None]:
    before = _interrupts.CANCEL_GRACE
    _interrupts.CANCEL_GRACE = seconds
    try:
        yield
    finally:
        _interrupts.CANCEL_GRACE = before


async def _run(each: Round, settings: Settings) -> tuple[list[Account], int]:
    """Run one round; return the accounts of its tasks and how many workers were killed."""
    with tempfile.TemporaryDirectory(prefix="races-") as folder:
        path = str(Path(folder, "journal"))
        async with WorkerPool(each.function, max_workers=WORKERS) as pool:
            field = Field(pool, each, path, settings)
            await field.run()
            if field.has_hung:
                pool.kill()
        marks = journal.read(path)
    for account in field.accounts:
        account.marks = marks.get(account.number, NEVER_BEGUN)
    return field.accounts, field.kills
