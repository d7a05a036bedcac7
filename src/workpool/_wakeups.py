"""Mail to workers, and who is woken for what: no task may wait while a worker sleeps."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workpool._frames import MAIL_CANCEL, MAIL_LOOK_ROUND
from workpool._ledger import Ledger
from workpool._system.status_page import IDLE, MAIL, MAIL_READ, StatusPage
from workpool._system.token_queue import TokenQueue
from workpool._worker_process import RETIRING

if TYPE_CHECKING:
    from workpool._worker_process import WorkerProcess


class Wakeups:
    """Posts mail and wakes sleepers; `workers` is the fleet's list of workers by slot."""

    def __init__(
        self,
        page: StatusPage,
        queues: Sequence[TokenQueue],
        ledger: Ledger[Any],
        workers: Sequence[WorkerProcess | None],
    ) -> None:
        self._page = page
        self._queues = queues
        self._ledger = ledger
        self._workers = workers

    def post(self, slot: int, data: bytes, descriptor: int | None = None) -> None:
        """Send mail to a slot's worker, if it has one. Takes over the descriptor."""
        worker = self._workers[slot]
        if worker is not None:
            worker.post(data, descriptor)
        elif descriptor is not None:
            os.close(descriptor)

    def post_work(self, slot: int, data: bytes, descriptor: int | None = None) -> None:
        """Send mail that its worker may do before, and instead of, what lies in the queues.

        So others are woken for that, also for the one task that the worker was counted on for.
        """
        worker = self._workers[slot]
        if worker is not None:
            # Read before the mail is sent: a sleep that begins after it is not ended by it.
            worker.woken_from = self._page.words[self._page.field(slot, IDLE)]
        self.post(slot, data, descriptor)
        if worker is not None and self._ledger.dispatched:
            self.wake_for_waiting(but=slot)

    def count_mail(self, slot: int) -> None:
        """Tell a busy worker that mail is there; to be called after it was sent."""
        self._page.words[self._page.field(slot, MAIL)] += 1

    def post_cancel(self, slot: int, attempt: int) -> None:
        """Ask an async worker to cancel a running attempt."""
        self.post(slot, MAIL_CANCEL + attempt.to_bytes(8, "little"))

    def tokens_waiting(self) -> int:
        """Return how many tokens nobody has taken."""
        return sum(queue.waiting() for queue in self._queues)

    def wake_for_waiting(self, but: int = -1) -> None:
        """Wake as many sleepers as tasks wait in the queues."""
        self.wake(self.tokens_waiting(), but)

    def wake(self, count: int, but: int = -1) -> None:
        """Have up to `count` sleeping workers look round, each once per sleep.

        Those that were counted on for a task in their own queue are told as well, beyond the count:
        a thief may take that task before they are up, and they would sleep on, while the thief
        was to look for another.
        """
        if count <= 0:
            return
        words, field = self._page.words, self._page.field
        for worker in self._workers:
            if worker is None or worker.slot == but or worker.state == RETIRING:
                continue
            asleep_since = words[field(worker.slot, IDLE)]
            if not asleep_since or worker.woken_from == asleep_since:
                continue
            if not self._gets_up_for_something(worker, asleep_since):
                if not count:
                    continue
                count -= 1
            self._have_look_round(worker, asleep_since)

    def wake_for(self, slot: int, pushed: int) -> None:
        """Wake thieves for what the owner of a queue cannot begin now. After the push."""
        surplus = self.count_on_owner(slot, pushed)
        if surplus:
            self.wake(surplus, but=slot)

    def count_on_owner(self, slot: int, pushed: int) -> int:
        """Return for how many of the tasks pushed into a queue its owner is not about to get up.

        After the push, in this order: a worker raises its idle flag before its last look round,
        so either that look finds the tokens or this one finds the flag.
        """
        owner = self._workers[slot]
        asleep_since = self._page.words[self._page.field(slot, IDLE)]
        if (
            owner is None
            or not asleep_since
            or asleep_since == owner.woken_from
            or self._gets_up_for_something(owner, asleep_since)
            or owner.state == RETIRING
        ):
            return pushed
        # The push itself wakes the owner, for one task; once per sleep, however long it takes
        # to get up, and not if it is getting up for another. While a thief may be about, it is
        # told as well: see `wake`.
        owner.fed_from = asleep_since
        if len(self._ledger.dispatched) > pushed:
            self._have_look_round(owner, asleep_since)
        return pushed - 1

    def _gets_up_for_something(self, worker: WorkerProcess, asleep_since: int) -> bool:
        """Whether a sleeper was counted on for a task, or has mail that it will act on first."""
        words, first = self._page.words, self._page.field(worker.slot, 0)
        return worker.fed_from == asleep_since or words[first + MAIL] != words[first + MAIL_READ]

    @staticmethod
    def _have_look_round(worker: WorkerProcess, asleep_since: int) -> None:
        worker.woken_from = asleep_since
        worker.post(MAIL_LOOK_ROUND)
