"""What a chaos run does: all choices, made from the seed alone. Pure.

Each concern draws from a stream of random numbers of its own, so that a change of one leaves the
others as they are. When a thing happens is the machine's affair; that and to whom is planned by
what it happens after: signals after so many lines of the ledger, cancellations after so many
seconds or when another task ends.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import ceil
from typing import Any, TypeVar

from benchmarks.chaos import tasks
from benchmarks.chaos.plan import Chore, Fire, RoundPlan, Shot, TaskPlan

T = TypeVar("T")

TASKS_PER_ROUND = 4000
_KINDS = 3
"""Rounds: every third has asynchronous workers, which are one loop, synchronous ones are the harder case; every
third has tiny tasks, which travel in batches."""

_TINY_SHARE = 0.97  # of the tasks in such a round: others stand between them
_SLOW_SHARE = 0.01  # of them that take their time all the same, and hold up their batch
_TINY_BYTES = 300

_WORKERS = (2, 3, 3, 4)
_WINDOWS = (None, None, 3, 10, 100, 1000)
_TINY_WINDOWS = (None, 300)
_CHORES = (("retire", 1.0), ("kill", 0.5), ("nudge", 1.5), ("hog", 5.0))
"""How many of each to a thousand tasks."""
_KEYS = 8
_STUBBORN_SHARE = 0.001  # of all tasks; each costs a worker and more than a second
_FEWEST_STUBBORN = 2  # in a round
_STUBBORN_SECONDS = 4.0  # longer than the pool waits for an interrupted task
_LATEST_SHOT = 0.8  # of the lines that will be written for sure: the fire ends before the work
_MARGIN = 1.05  # more own deaths than asked for: some tasks are killed before they get to theirs

_RACE_SECONDS = (1e-3, 1e-2)  # of tasks that are interrupted just about when they end

_RETRIES = {tasks.DIE: 0, tasks.STUBBORN: 0, tasks.DIE_ONCE: 3}

SIZES = ((0.50, 0, 0), (0.85, 1, 200), (0.96, 200, 16_000), (0.996, 16_000, 300_000))
"""Share of payloads up to here, smallest, largest size in bytes; the rest are of megabytes."""
_MEGABYTES = (1 << 20, 4 << 20)

SECONDS = ((0.60, 0.0, 0.0), (0.85, 1e-5, 5e-4), (0.97, 5e-4, 5e-3), (1.0, 5e-3, 4e-2))
"""Share of tasks up to here, shortest, longest duration in seconds."""


def make_plan(seed: int, task_count: int, fire: Fire, rounds: int | None = None) -> list[RoundPlan]:
    """Return the rounds of a run."""
    count = rounds or max(2, round(task_count / TASKS_PER_ROUND))
    counts = _shares(task_count, count)
    shots = _deal(seed, "shots", list(_shots(seed, fire)), count)
    stubborn = max(_FEWEST_STUBBORN * count, int(task_count * _STUBBORN_SHARE))
    special = [(tasks.DIE, how) for how in _own_deaths(fire)] + [(tasks.STUBBORN, "")] * stubborn
    deeds = _deal(seed, "special", special, count)
    return [
        _round(seed, number, counts[number], shots[number], deeds[number], number == count - 1)
        for number in range(count)
    ]


def _round(
    seed: int,
    number: int,
    count: int,
    signals: list[tuple[tuple[str, float], ...]],
    special: list[tuple[str, str]],
    is_last: bool,
) -> RoundPlan:
    dice = _stream(seed, number, "options")
    workers, kind = dice.choice(_WORKERS), number % _KINDS
    planned = tuple(_tasks(seed, number, count, workers, special))
    is_tiny = kind == 2
    if is_tiny:
        tiny = _stream(seed, number, "tiny")
        planned = tuple(_tiny(tiny, task) for task in planned)
    lines = 2 * sum(not task.is_cancelled for task in planned)
    return RoundPlan(
        number=number,
        is_async=kind == 1,
        is_tiny=is_tiny,
        workers=workers,
        concurrency=dice.choice((1, 2, 4, 16)),
        max_tasks=dice.choice((None, None, None if is_tiny else dice.randint(100, 400))),
        max_memory=dice.choice((None, None, None, None if is_tiny else 60 << 20)),
        idle_timeout=dice.choice((None, None, 0.02, 0.2)),
        window=dice.choice(_TINY_WINDOWS if is_tiny else _WINDOWS),
        listens=dice.random() < 0.5,
        closes_early=not is_last and dice.random() < 0.3,
        tasks=planned,
        shots=_timed(_stream(seed, number, "instants"), signals, lines),
        chores=tuple(_chores(_stream(seed, number, "chores"), count)),
    )


# Tasks


def _tasks(
    seed: int, number: int, count: int, workers: int, special: Sequence[tuple[str, str]]
) -> Iterator[TaskPlan]:
    share = _stream(seed, number, "affinity").choice((0.1, 0.2, 0.6))
    deeds, sizes = _stream(seed, number, "deeds"), _stream(seed, number, "sizes")
    settings, ends = _stream(seed, number, "settings"), _stream(seed, number, "cancellations")
    places = deeds.sample(range(count), min(count, len(special)))
    specials = dict(zip(places, special, strict=False))
    for index in range(count):
        deed, seconds, detail = _deed(deeds, specials.get(index))
        yield TaskPlan(
            index,
            deed,
            seconds,
            argument_bytes=_size(sizes),
            result_bytes=_size(sizes),
            out_of_band=sizes.random() < 0.5,
            detail=detail,
            retries=_retries(settings, deed),
            **_settings(settings, workers, share),
            **(_race(ends, seconds) if detail == tasks.TELL else _end(ends, deed, index, seconds)),
        )


def _tiny(dice: random.Random, task: TaskPlan) -> TaskPlan:
    """Make a task such that it may travel with others, unless it is one that cannot; none is large."""
    task = replace(
        task,
        argument_bytes=min(task.argument_bytes, _TINY_BYTES),
        result_bytes=min(task.result_bytes, 10 * _TINY_BYTES),
        out_of_band=False,
    )
    if task.deed == tasks.STUBBORN or dice.random() > _TINY_SHARE:
        return task
    return replace(
        task,
        seconds=task.seconds if dice.random() < _SLOW_SHARE else 0.0,
        key=None,
        worker=None,
        affinity="light",
        retries=0,
        timeout=None,
    )


def _deed(dice: random.Random, special: tuple[str, str] | None) -> tuple[str, float, str]:
    """Choose what a task does, for how many seconds, and the detail of it."""
    seconds, chance = _seconds(dice), dice.random()
    if special is not None:
        deed, detail = special
        return deed, _STUBBORN_SECONDS if deed == tasks.STUBBORN else min(seconds, 1e-3), detail
    if chance < 0.03:
        return tasks.SLEEP, dice.uniform(*_RACE_SECONDS), tasks.TELL
    if chance < 0.06:
        return tasks.SPIN, dice.uniform(*_RACE_SECONDS), tasks.TELL
    if chance < 0.45:
        return tasks.SLEEP, seconds, ""
    if chance < 0.95:
        return tasks.SPIN, seconds, ""
    if chance < 0.99:
        return tasks.RAISE, 0.0, ""
    if chance < 0.999:
        return tasks.SWELL, 0.0, ""
    return tasks.DIE_ONCE, 0.0, dice.choice(("SIGSEGV", "SIGKILL", "exit 0", "exit 3"))


def _seconds(dice: random.Random) -> float:
    chance = dice.random()
    for share, shortest, longest in SECONDS:
        if chance < share:
            return dice.uniform(shortest, longest)
    raise AssertionError("the shares do not add up")


def _size(dice: random.Random) -> int:
    chance = dice.random()
    for share, smallest, largest in SIZES:
        if chance < share:
            return dice.randint(smallest, largest)
    return dice.randint(*_MEGABYTES)


def _retries(dice: random.Random, deed: str) -> int:
    if deed in _RETRIES:
        return _RETRIES[deed]
    return dice.choice((1, 2, 3)) if dice.random() < 0.15 else 0


def _settings(dice: random.Random, workers: int, share: float) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    if dice.random() < 0.3:
        chosen["key"] = f"key {dice.randrange(_KEYS)}"
    if dice.random() < share:
        chosen["worker"] = min(dice.randrange(workers), dice.randrange(workers))
        chosen["affinity"] = dice.choice(("light", "light", "strong", "force"))
    return chosen


def _end(dice: random.Random, deed: str, index: int, seconds: float) -> dict[str, Any]:
    """Choose who ends a task before its time, if anybody does."""
    chance = dice.random()
    if deed == tasks.DIE:
        return {}
    if deed == tasks.STUBBORN:
        return {"cancel_after": dice.uniform(0, 0.3)} if chance < 0.3 else {"timeout": 0.05}
    if chance < 0.02:
        return {"cancel_after": 0.0}
    if chance < 0.04:
        return {"cancel_after": dice.uniform(0, 0.05)}
    if chance < 0.07:
        return {"cancel_after": 2e-4 + seconds * dice.uniform(0.2, 2)}
    if chance < 0.11 and index:
        return {"cancel_with": max(0, index - dice.randint(1, 12))}
    if chance < 0.15:
        return {"timeout": 2e-4 + seconds * dice.uniform(0.5, 1.5)}
    if chance < 0.19:
        return {"timeout": dice.choice((0.002, 0.01, 0.05, 0.2))}
    return {}


def _race(dice: random.Random, seconds: float) -> dict[str, Any]:
    """Let an interruption race with the end of a task."""
    when = seconds * dice.uniform(0.3, 1.2)
    return {dice.choice(("timeout", "cancel_running")): when}


# Accidents


def _shots(seed: int, fire: Fire) -> Iterator[tuple[tuple[str, float], ...]]:
    dice = _stream(seed, "pauses")
    for _ in range(fire.kills):
        yield (("SIGKILL", 0.0),)
    for _ in range(fire.segv // 2):
        yield (("SIGSEGV", 0.0),)
    for _ in range(fire.term // 2):
        yield (("SIGTERM", 0.0),)
    for count in range(fire.stop):
        after = "SIGKILL" if count % 2 else "SIGCONT"
        yield (("SIGSTOP", 0.0), (after, dice.uniform(0.001, 0.12)))


def _own_deaths(fire: Fire) -> Iterator[str]:
    yield from ["SIGSEGV"] * _with_margin(fire.segv - fire.segv // 2)
    yield from ["SIGTERM"] * _with_margin(fire.term - fire.term // 2)
    yield from ["exit 0"] * _with_margin(fire.exit)
    yield from ["exit 7"] * (fire.exit // 5)


def _with_margin(count: int) -> int:
    return ceil(count * _MARGIN) + 1 if count else 0


def _timed(
    dice: random.Random, signals: Sequence[tuple[tuple[str, float], ...]], lines: int
) -> tuple[Shot, ...]:
    instants = sorted(dice.randrange(int(lines * _LATEST_SHOT) or 1) for _ in signals)
    return tuple(
        Shot(after, dice.random(), dice.choice((0.0, dice.uniform(0, 0.004))), each)
        for after, each in zip(instants, signals, strict=True)
    )


def _chores(dice: random.Random, count: int) -> Iterator[Chore]:
    for what, share in _CHORES:
        for _ in range(ceil(share * count / 1000)):
            yield Chore(dice.randrange(count or 1), what, dice.random())


# Dice


def _stream(seed: int, *names: object) -> random.Random:
    return random.Random("/".join(map(str, (seed, *names))))


def _deal(seed: int, name: str, things: list[T], hands: int) -> list[list[T]]:
    _stream(seed, name).shuffle(things)
    return [things[hand::hands] for hand in range(hands)]


def _shares(total: int, count: int) -> list[int]:
    return [total // count + (number < total % count) for number in range(count)]
