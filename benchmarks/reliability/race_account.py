"""What is known of one task of a race, and what of it must not be. Pure."""

from dataclasses import dataclass

from benchmarks.reliability.journal import BEGUN, ENDED, INTERRUPTED

CANCEL, TIMEOUT, NOBODY = "cancel", "timeout", ""
"""Who ends a task."""

RESULT, CANCELLED, TIMED_OUT, HUNG = "result", "cancelled", "timed out", "hung"
"""Outcomes; any other is the error's text."""

WRONG_KILL, STALE_RESULT = "wrong-task kills", "stale results"

RUN_ONCE = BEGUN + ENDED
NEVER_BEGUN = ""


@dataclass(slots=True)
class Account:
    """One task: who was to end it, what the parent saw and what the task wrote down itself."""

    number: int
    ending: str
    outcome: str = HUNG
    is_own: bool = True
    """Whether the result is this task's own."""
    was_cancelled: bool = False
    """Whether `cancel()` said that it came in time."""
    completions: int = 0
    """How often the pool told its listeners that the task had ended."""
    marks: str = NEVER_BEGUN

    def faults(self) -> list[str]:
        """Return the kinds of fault in this account, each with what it was."""
        if self.outcome == HUNG:
            return [f"{HUNG}: {self}"]
        faults = []
        if self._suffered():
            faults.append(f"{WRONG_KILL}: {self}")
        if self._is_stale():
            faults.append(f"{STALE_RESULT}: {self}")
        return faults

    def _suffered(self) -> bool:
        """Whether the task was ended, or interrupted, for another one's sake."""
        due = {CANCEL: CANCELLED, TIMEOUT: TIMED_OUT, NOBODY: RESULT}[self.ending]
        if self.outcome not in (due, RESULT):
            return True
        if self.outcome == RESULT:
            return INTERRUPTED in self.marks or self.marks.count(BEGUN) > 1
        return self.marks.count(BEGUN) > 1

    def _is_stale(self) -> bool:
        """Whether the outcome is not the one that the task came to, or came twice."""
        if self.completions != 1 or self.was_cancelled != (self.outcome == CANCELLED):
            return True
        return self.outcome == RESULT and not (self.is_own and self.marks == RUN_ONCE)
