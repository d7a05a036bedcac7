"""The chaos runner's verdict: a sound round is clean, and each sort of fault is found and named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.chaos import evidence as seen
from benchmarks.chaos import ledger, tasks
from benchmarks.chaos.evidence import Evidence, Outcome
from benchmarks.chaos.plan import RoundPlan, TaskPlan
from benchmarks.chaos.reading import Line
from benchmarks.chaos.verdict import RULES, judge

SECOND = 1_000_000_000
P, Q = "10.1", "11.2"

PLAN = RoundPlan(
    number=0,
    is_async=False,
    is_tiny=False,
    workers=2,
    concurrency=1,
    max_tasks=None,
    max_memory=None,
    idle_timeout=None,
    window=None,
    listens=False,
    closes_early=False,
    tasks=(),
    shots=(),
    chores=(),
)
TASK = TaskPlan(0, tasks.SPIN, 0.0, 0, 0, out_of_band=False)


class Story:
    """A round, told step by step; time goes on by itself."""

    def __init__(self, *planned: TaskPlan, is_async: bool = False, concurrency: int = 1) -> None:
        plan = replace(PLAN, tasks=planned, is_async=is_async, concurrency=concurrency)
        self.evidence = Evidence(plan)
        self.now = 0
        for task in planned:
            self.evidence.added[task.index] = self.tick()

    def tick(self) -> int:
        self.now += 1
        return self.now

    def line(self, kind: str, task: int, process: str, detail: str) -> Story:
        self.evidence.lines.append(Line(kind, task, process, self.tick(), detail))
        return self

    def start(self, task: int = 0, process: str = P, slot: int = 0) -> Story:
        return self.line(ledger.START, task, process, str(slot))

    def end(self, task: int = 0, process: str = P, how: str = ledger.OK) -> Story:
        return self.line(ledger.END, task, process, how)

    def hit(self, process: str = P, name: str = "SIGKILL") -> Story:
        return self.line(ledger.HIT, 0, process, name)

    def birth(self, process: str = P) -> Story:
        return self.line(ledger.BIRTH, -1, process, "0")

    def exit(self, process: str = P) -> Story:
        return self.line(ledger.EXIT, -1, process, "0")

    def cancel(self, task: int = 0) -> Story:
        self.evidence.cancelled[task] = self.tick()
        return self.outcome(seen.CANCELLED, task)

    def result(self, task: int = 0, process: str = P, *, is_right: bool = True) -> Story:
        starts = [
            line.time
            for line in self.evidence.lines
            if (line.kind, line.task, line.process) == (ledger.START, task, process)
        ]
        outcome = Outcome(
            seen.RESULT, self.tick(), attempt=(process, starts[-1]), is_right=is_right
        )
        return self._end(task, outcome)

    def crash(self, task: int = 0, process: str = P, cause: str = "SIGKILL") -> Story:
        pid = int(process.partition(".")[0])
        return self._end(task, Outcome(seen.CRASHED, self.tick(), pid=pid, cause=cause))

    def outcome(self, kind: str, task: int = 0) -> Story:
        return self._end(task, Outcome(kind, self.tick()))

    def wait(self, seconds: float) -> Story:
        self.now += int(seconds * SECOND)
        return self

    def rules(self) -> set[str]:
        return {violation.rule for violation in judge(self.evidence)}

    def _end(self, task: int, outcome: Outcome) -> Story:
        self.evidence.outcomes.setdefault(task, []).append(outcome)
        return self


def two(**options: object) -> Story:
    """Return a story of two tasks; the options are those of the first."""
    return Story(replace(TASK, **options), replace(TASK, index=1))  # type: ignore[arg-type]


SOUND = {
    "a task and its result": Story(TASK).birth().start().end().result().exit(),
    "killed while it ran": Story(TASK).start().hit().crash(),
    "killed when it had ended, before its report": Story(TASK).start().end().hit().crash(),
    "killed before its first line": Story(TASK).hit().crash(),
    "killed and run again, with retries": Story(replace(TASK, retries=1))
    .start()
    .hit()
    .start(process=Q)
    .end(process=Q)
    .result(process=Q),
    "cancelled while it ran": Story(TASK).start().cancel().end(how=ledger.INTERRUPTED),
    "cancelled before it began": Story(TASK).cancel(),
    "stubborn, so its worker was killed": Story(TASK).birth().start().cancel(),
    "out of time": Story(replace(TASK, timeout=1.0)).start().wait(1.1).outcome(seen.TIMEOUT),
    "died by itself": Story(replace(TASK, deed=tasks.DIE))
    .start()
    .line(ledger.DEATH, 0, P, "exit 0")
    .crash(cause="exit 0"),
    "raised": Story(replace(TASK, deed=tasks.RAISE))
    .start()
    .end(how=ledger.RAISED)
    .outcome(seen.RAISED),
    "several at a time in an asynchronous worker": Story(
        TASK, replace(TASK, index=1), is_async=True, concurrency=2
    )
    .start()
    .start(1)
    .hit()
    .crash()
    .crash(1),
    "hit in two ways at once": Story(TASK).start().hit(name="SIGTERM").hit().crash(cause="SIGTERM"),
}

FAULTS = {
    "no outcome": ("lost", Story(TASK).start().end()),
    "closed under it": ("lost", Story(TASK).outcome(seen.CLOSED)),
    "two outcomes": ("duplicated", Story(TASK).start().end().result().result()),
    "one result for two": ("duplicated", two().start().end().result().start(1).end(1)),
    "started twice": ("run twice", Story(TASK).start().end().start().end().result()),
    "started again after a crash, without retries": (
        "run twice",
        Story(TASK).start().hit().start(process=Q).end(process=Q).result(process=Q),
    ),
    "more starts than retries": (
        "run twice",
        Story(replace(TASK, retries=1)).start().end().start().end().start().end().result(),
    ),
    "two at a time": (
        "run twice",
        Story(replace(TASK, retries=1)).start().start(process=Q).end().end(process=Q).result(),
    ),
    "started again before its worker was killed": (
        "run twice",
        Story(replace(TASK, retries=1))
        .start()
        .start(process=Q)
        .hit()
        .end(process=Q)
        .result(process=Q),
    ),
    "nobody killed its worker": ("wrong kill", Story(TASK).start().crash()),
    "its worker died of something else": (
        "wrong kill",
        Story(TASK).start().hit(name="SIGTERM").crash(),
    ),
    "its worker was only stopped": (
        "wrong kill",
        Story(TASK).start().hit(name="SIGSTOP").crash(),
    ),
    "it had ended long ago": (
        "wrong kill",
        two().start().end().start(1).hit().crash().crash(1),
    ),
    "another worker was killed": (
        "wrong kill",
        Story(TASK).start().end().hit(Q).crash(),
    ),
    "one death, two failures": ("wrong kill", two().start().hit().crash().crash(1)),
    "two that had ended, in an asynchronous worker": (
        "wrong kill",
        Story(TASK, replace(TASK, index=1), is_async=True, concurrency=4).hit().crash().crash(1),
    ),
    "a worker that nobody killed": ("wrong kill", Story(TASK).birth().start().end().result()),
    "a worker killed after the interrupted task": (
        "wrong kill",
        two().birth().start().cancel().end(how=ledger.INTERRUPTED).start(1).crash(1),
    ),
    "interrupted, though nobody wanted it": (
        "wrong interruption",
        Story(TASK).start().end(how=ledger.INTERRUPTED).outcome(seen.OTHER),
    ),
    "no end, though its worker went on": (
        "wrong interruption",
        two().start().start(1).end(1).result(1).outcome(seen.OTHER),
    ),
    "cancelled, and begun long after": (
        "begun although cancelled",
        Story(TASK).cancel().wait(2).start().end(),
    ),
    "another's result": ("wrong result", Story(TASK).start().end().result(is_right=False)),
    "the result of an earlier attempt": (
        "wrong result",
        Story(replace(TASK, retries=1)).start().end().result().start(process=Q).end(process=Q),
    ),
    "a result of one that raised": (
        "wrong result",
        Story(TASK).start().end(how=ledger.RAISED).result(),
    ),
    "a result of one that died": (
        "wrong outcome",
        Story(replace(TASK, deed=tasks.DIE)).start().end().result(),
    ),
    "out of time without a timeout": ("wrong outcome", Story(TASK).outcome(seen.TIMEOUT)),
    "out of time before the time was up": (
        "wrong outcome",
        Story(replace(TASK, timeout=1.0)).start().outcome(seen.TIMEOUT),
    ),
    "cancelled by nobody": ("wrong outcome", Story(TASK).outcome(seen.CANCELLED)),
    "an error of the pool's": ("wrong outcome", Story(TASK).outcome(seen.OTHER)),
    "a forced task elsewhere": (
        "wrong worker",
        Story(replace(TASK, affinity="force", worker=1)).start(slot=0).end().result(),
    ),
}


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_round_is_clean(name: str) -> None:
    """What may happen to a pool that does everything right is no violation."""
    assert judge(SOUND[name].evidence) == []


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_found(name: str) -> None:
    """What must not happen is named for what it is."""
    rule, story = FAULTS[name]
    if name == "one result for two":
        first = story.evidence.outcomes[0][0]
        story.evidence.outcomes[1] = [first]
    assert rule in story.rules()


def test_what_hung_is_unresolved_not_lost() -> None:
    """A task that was given up is told apart from one that the pool has forgotten."""
    story = Story(TASK).start().outcome(seen.CLOSED)
    story.evidence.unresolved = [0]
    assert story.rules() == {"unresolved"}


def test_listeners_are_told_of_each_end_once() -> None:
    """An end that listeners were not told of is lost to them; told twice is once too often."""
    story = Story(TASK).start().end().result()
    story.evidence.plan = replace(story.evidence.plan, listens=True)
    assert story.rules() == {"lost"}
    story.evidence.completions = {0: 1}
    assert story.rules() == set()
    story.evidence.completions = {0: 2}
    assert story.rules() == {"duplicated"}


def test_leftovers_and_troubles_count() -> None:
    """What is left behind and what was logged as an error are violations."""
    story = Story(TASK).start().end().result()
    story.evidence.leftovers = ["descriptor 7"]
    story.evidence.troubles = ["something was logged"]
    assert story.rules() == {"leaked", "trouble"}


def test_every_rule_has_a_case() -> None:
    """No rule is there that nothing can break."""
    assert {rule for rule, _ in FAULTS.values()} == {*RULES} - {"unresolved", "leaked", "trouble"}
