"""The verdict on a round: what the pool did wrong, told by the ledger and by who awaited the tasks.

Pure, and none of the pool's own accounts is asked. The rules, each with what counts as a violation:

lost
    A task that ended with no outcome of its own (`PoolClosed`), or had none when the pool was closed.
unresolved
    A task that was pending when for half a minute nothing had happened any more.
duplicated
    A task whose callbacks or listeners were told of its end more than once; an attempt whose result
    was given to two tasks.
run twice
    A task that was started more often than its retries allow, or started while an earlier attempt of
    it was still going on.
wrong kill
    A task that failed with `WorkerCrashed` although its worker was not killed in the way the error
    says, or although that worker did not hold it; a worker that ended without a cause.
wrong interruption
    A task that was interrupted, or ended without a line about it in a worker that went on, and that
    nobody had cancelled and that had no timeout.
begun although cancelled
    A task that was started more than a quarter of a second after it had been cancelled.
wrong result
    A result that is not what this task, in its last attempt, returned; an error another task raised.
wrong outcome
    An end that this task cannot have: a crash of one that ran out of time, an error of the pool's.
wrong worker
    A task that must run in one worker and was started in another.
leaked
    Processes, descriptors, threads or shared memory that are there after the pool is closed.
trouble
    What was logged as an error, a close that hung.

When a worker dies, which tasks may fail with it? It *held* a task if

(a) the task had begun in it and not ended; or
(b) it had ended, and that is the last line of any task in this worker. The line is written by the
    task itself, before its result is pickled and written to the pipe: a worker killed in between
    takes a finished task with it. Once it has begun, ended or reported anything else, it has not; or
(c) it has no line of this attempt at all: a worker counts as having begun a task from before it
    unpickles the argument, and the line is written by the first statement of the task.

A synchronous worker holds one task at a time, so (a), (b) and (c) together allow one failure per
worker that died; an asynchronous one may hold as many as its concurrency, of which one each by (b)
and (c). So a pool that blames the wrong task cannot hide behind (c): the right one is then either
run twice, or has no outcome, or is one failure too many.

A worker *was killed* if the ledger has a signal to it from the assassin or from the pool's user, or
if a task in it announced its death. The pool itself kills a worker for a task that was interrupted
and did not end; such a worker must have held a task that was cancelled or had a timeout, and no
other task may fail with it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from benchmarks.chaos import evidence as seen
from benchmarks.chaos import ledger, tasks
from benchmarks.chaos.evidence import Evidence, Outcome
from benchmarks.chaos.plan import TaskPlan
from benchmarks.chaos.reading import Attempt, Life, lives

RULES = (
    "lost",
    "unresolved",
    "duplicated",
    "run twice",
    "wrong kill",
    "wrong interruption",
    "begun although cancelled",
    "wrong result",
    "wrong outcome",
    "wrong worker",
    "leaked",
    "trouble",
)

_LATE_NS = 250_000_000
"""A cancelled task may begin a little later: in a worker that had looked for the mark a microsecond
earlier, and then was stopped (which lasts 120 ms at most) or got no processor."""


class Violation(NamedTuple):
    """Something the pool did wrong, or the verdict sees wrongly."""

    rule: str
    text: str


def judge(evidence: Evidence) -> list[Violation]:
    """Return all violations of a round."""
    return list(_Court(evidence).violations())


class _Court:
    def __init__(self, evidence: Evidence) -> None:
        self.seen = evidence
        self.is_async = evidence.plan.is_async
        self.tasks = {task.index: task for task in evidence.plan.tasks}
        self.lives = lives(evidence.lines)
        self.attempts: dict[int, list[Attempt]] = defaultdict(list)
        for life in self.lives.values():
            for attempt in life.attempts:
                self.attempts[attempt.task].append(attempt)
        for attempts in self.attempts.values():
            attempts.sort(key=lambda attempt: attempt.start)

    def violations(self) -> Iterator[Violation]:
        yield from self._ends()
        yield from self._starts()
        yield from self._crashes()
        yield from self._deaths()
        yield from self._interruptions()
        yield from self._results()
        yield from self._outcomes()
        yield from (Violation("leaked", text) for text in self.seen.leftovers)
        yield from (Violation("trouble", text) for text in self.seen.troubles)

    # Every task ends once

    def _ends(self) -> Iterator[Violation]:
        unresolved = set(self.seen.unresolved)
        for index in self.seen.added:
            outcomes = self.seen.outcomes.get(index, [])
            told = self.seen.completions.get(index, 0)
            if index in unresolved:
                yield Violation("unresolved", self._story(index))
            elif not outcomes or outcomes[0].kind == seen.CLOSED:
                yield Violation("lost", self._story(index))
            if len(outcomes) > 1 or told > 1:
                yield Violation(
                    "duplicated", f"ended {len(outcomes)}, told {told} times; {self._story(index)}"
                )
            if self.seen.plan.listens and outcomes and not told:
                yield Violation("lost", f"the pool's listeners were not told; {self._story(index)}")

    # Every attempt is allowed, and alone

    def _starts(self) -> Iterator[Violation]:
        for index, attempts in self.attempts.items():
            task = self._task(index)
            if len(attempts) > task.retries + 1:
                yield Violation("run twice", f"started {len(attempts)} times; {self._story(index)}")
            for earlier, later in pairwise(attempts):
                if later.start < self._alive_until(earlier):
                    yield Violation("run twice", f"two attempts at a time; {self._story(index)}")
            if task.affinity == "force":
                for attempt in attempts:
                    if attempt.slot != task.worker:
                        yield Violation("wrong worker", self._story(index))
            at = self.seen.cancelled.get(index)
            if at is not None and attempts and attempts[-1].start > at + _LATE_NS:
                yield Violation("begun although cancelled", self._story(index))

    def _alive_until(self, attempt: Attempt) -> int:
        """Return until when an attempt was going on for sure."""
        if attempt.end is not None:
            return attempt.end
        life = self.lives[attempt.process]
        if life.causes and not self._is_interrupted(attempt.task):
            return min(time for _, time in life.causes)
        return attempt.start

    # Only who was held by a killed worker fails with it

    def _crashes(self) -> Iterator[Violation]:
        lives_by_pid: dict[int, list[Life]] = defaultdict(list)
        for life in self.lives.values():
            lives_by_pid[life.pid].append(life)
        failures: dict[str, Counter[str]] = defaultdict(Counter)
        for index, outcome in self._first_outcomes(seen.CRASHED):
            guilty = [
                life for life in lives_by_pid[outcome.pid or 0] if _died_of(life, outcome.cause)
            ]
            if not guilty:
                yield Violation("wrong kill", f"its worker was not killed; {self._story(index)}")
                continue
            life = max(guilty, key=lambda life: len(life.attempts_at(index)))
            held = self._held(life, index)
            failures[life.process][held] += 1
            if not held:
                yield Violation("wrong kill", f"its worker did not hold it; {self._story(index)}")
        for process, counts in failures.items():
            yield from self._too_many(process, counts)

    def _held(self, life: Life, index: int) -> str:
        """Return in which way (see above) a worker that died held a task; empty if in none."""
        attempts = life.attempts_at(index)
        if not attempts:
            return "c"
        if attempts[-1].end is None:
            return "a" if self.is_async or attempts[-1] is life.attempts[-1] else ""
        last = life.last
        if last is not None and last.task == index and last.kind == ledger.END:
            return "b"
        # It may have been taken again by the worker that had run it before.
        return "c" if self._task(index).retries >= len(self.attempts[index]) else ""

    def _too_many(self, process: str, counts: Counter[str]) -> Iterator[Violation]:
        most = self.seen.plan.concurrency if self.is_async else 1
        if counts.total() > most or counts["b"] > 1 or counts["c"] > 1:
            yield Violation("wrong kill", f"{process} took too many with it: {dict(counts)}")

    # No worker ends without a cause

    def _deaths(self) -> Iterator[Violation]:
        for life in self.lives.values():
            if life.born and not life.left and not life.causes and not self._ended_by_pool(life):
                last = life.attempts[-1].task if life.attempts else None
                text = "" if last is None else f"; its last task: {self._story(last)}"
                yield Violation("wrong kill", f"{life.process} ended without a cause{text}")

    def _ended_by_pool(self, life: Life) -> bool:
        """Whether the pool may have killed a worker for an interrupted task that it held."""
        return any(
            self._is_interrupted(attempt.task) and self._held(life, attempt.task)
            for attempt in life.attempts
        )

    # Only who is meant is interrupted

    def _interruptions(self) -> Iterator[Violation]:
        for life in self.lives.values():
            for attempt, following in zip(life.attempts, [*life.attempts, None][1:], strict=True):
                if self._is_interrupted(attempt.task):
                    continue
                if attempt.how == ledger.INTERRUPTED:
                    yield Violation("wrong interruption", self._story(attempt.task))
                elif attempt.end is None and not self.is_async and following is not None:
                    text = f"has no end, though its worker went on; {self._story(attempt.task)}"
                    yield Violation("wrong interruption", text)

    # Every result is the task's own, of its last attempt

    def _results(self) -> Iterator[Violation]:
        owners: dict[tuple[str, int], int] = {}
        for index, outcome in self._first_outcomes(seen.RESULT):
            assert outcome.attempt is not None
            attempts = self.attempts[index]
            last = (attempts[-1].process, attempts[-1].start) if attempts else None
            if not outcome.is_right or outcome.attempt != last:
                yield Violation("wrong result", f"of {outcome.attempt}; {self._story(index)}")
            elif attempts[-1].how != ledger.OK:
                yield Violation(
                    "wrong result", f"of one that did not end well; {self._story(index)}"
                )
            other = owners.setdefault(outcome.attempt, index)
            if other != index:
                yield Violation("duplicated", f"tasks {other} and {index} have the same result")
        for index, outcome in self._first_outcomes(seen.RAISED):
            if not outcome.is_right:
                yield Violation("wrong result", f"another task's error; {self._story(index)}")

    # Every outcome is one that the task can have

    def _outcomes(self) -> Iterator[Violation]:
        for index, outcomes in self.seen.outcomes.items():
            task, outcome = self._task(index), outcomes[0]
            if outcome.kind != seen.CLOSED and not self._is_possible(task, outcome):
                yield Violation("wrong outcome", f"{outcome.text} {self._story(index)}")
        for index in self.seen.cancelled:
            if self.seen.outcomes.get(index, [_NONE])[0].kind != seen.CANCELLED:
                yield Violation("wrong outcome", f"was cancelled; {self._story(index)}")

    def _is_possible(self, task: TaskPlan, outcome: Outcome) -> bool:
        if outcome.kind == seen.RESULT:
            return task.deed not in (tasks.RAISE, tasks.DIE)
        if outcome.kind == seen.RAISED:
            return task.deed == tasks.RAISE
        if outcome.kind == seen.CANCELLED:
            return task.index in self.seen.cancelled
        if outcome.kind == seen.TIMEOUT:
            waited = outcome.time - self.seen.added[task.index]
            return task.timeout is not None and waited >= task.timeout * 1e9
        return outcome.kind == seen.CRASHED

    # Help

    def _task(self, index: int) -> TaskPlan:
        return self.tasks.get(index) or TaskPlan(index, tasks.SPIN, 0.0, 0, 0, out_of_band=False)

    def _is_interrupted(self, index: int) -> bool:
        return index in self.seen.cancelled or self._task(index).timeout is not None

    def _first_outcomes(self, kind: str) -> Iterator[tuple[int, Outcome]]:
        for index, outcomes in self.seen.outcomes.items():
            if outcomes[0].kind == kind:
                yield index, outcomes[0]

    def _story(self, index: int) -> str:
        """Tell all that is known of a task."""
        parts = [str(self._task(index)), f"added {self.seen.added.get(index)}"]
        if index in self.seen.cancelled:
            parts.append(f"cancelled {self.seen.cancelled[index]}")
        for attempt in self.attempts.get(index, []):
            life = self.lives[attempt.process]
            parts.append(
                f"{attempt}, worker: causes {life.causes}, stops {life.stops}, last {life.last}"
            )
        parts += map(str, self.seen.outcomes.get(index, ["no outcome"]))
        return "; ".join(parts)


_NONE = Outcome("none", 0)


def _died_of(life: Life, cause: str) -> bool:
    return any(known == cause for known, _ in life.causes)
