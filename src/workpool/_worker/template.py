"""The program of a template: imports the entrypoint's module once, then forks a worker each time it is asked.

The pool asks through the control socket; see `workpool._system.cord` for what it hears. Nothing of
the user's runs in the template after the imports, and only one thread does.
"""

from __future__ import annotations

import errno
import gc
import os
import select
import sys

from workpool._quick import signal, socket
from workpool._system import cord as cords
from workpool._system.liveness import Liveness, ParentGone
from workpool._worker import boot, interrupts
from workpool._worker.fork_fitness import why_not_to_fork
from workpool._worker.logs import set_levels
from workpool._worker.resolve import import_entrypoint, import_module, load_target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from workpool._worker.reporter import Reporter
    from workpool._worker_config import WorkerConfig

# What comes with a request: a cord, mail, report, liveness; standard output and error if they are captured.
_MAIL, _STDOUT = 1, 4


def main(
    control_descriptor: int, liveness_descriptor: int, numbers_here: dict[int, int] | None = None
) -> None:
    """Be a template until its pool needs it no more; return never, or as a worker that has ended.

    `numbers_here`: those of the descriptors that the pool's workers share, if they are not the pool's.
    """
    interrupts.ignore_until_asked()
    control = socket.socket(fileno=control_descriptor)
    config = boot.receive_config(control)
    if config is None:
        return  # the parent ended before it could say anything
    liveness = Liveness(liveness_descriptor)
    try:
        liveness.guard()
    except ParentGone:
        return
    if numbers_here is not None:
        config.renumber(numbers_here)
    prepared = Prepared(config, numbers_here)
    template = _Template(control, liveness_descriptor, config, prepared)
    mail, report, ours = template.serve()[_MAIL:_STDOUT]
    boot.main(mail, report, ours, prepared)


class Prepared:
    """What the workers of a template find done. Sends log records for `logging`'s forwarder."""

    def __init__(self, config: WorkerConfig, numbers_here: dict[int, int] | None) -> None:
        self._config = config
        self.numbers_here = numbers_here
        self._reporter: Reporter | None = None
        self._kept: list[tuple[int, int, Any]] = []

    def prepare(self) -> None:
        """Import what workers will need. What goes wrong every worker finds again, and reports."""
        boot.set_up_streams()
        boot.prepare(self._config, self)
        try:
            target = load_target(self._config.target)
            is_async = import_entrypoint(target)
            import_module(f"workpool._worker.{'async' if is_async else 'sync'}_loop")
        except BaseException:  # noqa: BLE001 - the user's module
            pass
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                boot.flush(stream)

    def send(self, kind: int, attempt: int, body: Any) -> None:
        """Send a report, or keep it for the first worker to send: nobody else has a report pipe."""
        if self._reporter is None:
            self._kept.append((kind, attempt, body))
        else:
            self._reporter.send(kind, attempt, body)

    def take_over(self, config: WorkerConfig, reporter: Reporter) -> None:
        """In a worker: go on from here."""
        self._reporter = reporter
        for kind, attempt, body in self._kept:
            reporter.send(kind, attempt, body)
        set_levels(_changes(self._config.log_levels, config.log_levels))
        _reseed()

    def forget_kept(self) -> None:
        """After the first worker was made: what was kept is its to send."""
        self._kept = []


class _Template:
    """The template's descriptors, and its workers."""

    def __init__(
        self,
        control: socket.socket,
        liveness_descriptor: int,
        config: WorkerConfig,
        prepared: Prepared,
    ) -> None:
        self._control = control
        self._prepared = prepared
        self._private = {control.fileno(), liveness_descriptor}
        self._all = {*self._private, *config.shared_descriptors}
        self._asked: list[int] = []
        """The descriptors of the worker that was asked for last."""
        self._workers: dict[int, socket.socket] = {}
        """Their cords, by pidfd."""
        self._retired = False
        self._makes_worker = False
        self._poll = select.poll()
        self._poll.register(control.fileno(), select.POLLIN)
        for descriptor in self._all:
            os.set_inheritable(descriptor, False)
        os.register_at_fork(after_in_child=self._close_in_child)

    def serve(self) -> list[int]:
        """Fork workers. Returns in a worker, with the descriptors it was given."""
        if not self._next_request():
            os._exit(0)
        # What the import writes is seen where the first worker's output is: it is made for that one.
        with _Redirected(self._asked[_STDOUT:]):
            self._prepared.prepare()
        # Ignored, it would have the kernel throw away how children have ended.
        self._on_child = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._give_up_unless_fit()
        gc.collect()
        gc.freeze()  # pages that the collector does not write to stay shared
        while not self._make_worker():
            while not self._wait_for_request():
                if self._retired and not self._workers:
                    os._exit(0)
        return self._asked

    def _wait_for_request(self) -> bool:
        """Wait until something happens; return whether it is that a worker is asked for."""
        ready = [descriptor for descriptor, _ in self._poll.poll()]
        for descriptor in ready:
            if descriptor in self._workers:
                self._bury(descriptor)
        return self._control.fileno() in ready and self._next_request()

    def _next_request(self) -> bool:
        descriptors = cords.next_request(self._control)
        if descriptors is None:
            self._retired = True
            self._poll.unregister(self._control.fileno())
            return False
        self._asked = descriptors
        return True

    def _make_worker(self) -> bool:
        """Fork the worker that is asked for. Returns True there."""
        cord, *others = self._asked
        if cord < 0:
            return False
        with_pool = socket.socket(fileno=cord)
        try:
            if -1 in others:
                raise OSError(errno.EMFILE, "too many open files")
            self._makes_worker = True
            child = os.fork()
        except OSError as error:
            _tell(with_pool, cords.NOT_MADE, error.errno or 0)
            with_pool.close()
            child = -1
        if child == 0:
            self._become_worker(with_pool)
            return True
        self._makes_worker = False
        for descriptor in others:
            if descriptor >= 0:
                os.close(descriptor)
        self._asked = []
        if child > 0:
            self._prepared.forget_kept()
            self._watch(child, with_pool)
        return False

    def _watch(self, child: int, cord: socket.socket) -> None:
        try:
            descriptor = os.pidfd_open(child)
        except OSError:
            cord.close()  # the pool sees its end, but not how
            return
        self._workers[descriptor] = cord
        self._poll.register(descriptor, select.POLLIN)

    def _bury(self, descriptor: int) -> None:
        cord = self._workers.pop(descriptor)
        self._poll.unregister(descriptor)
        try:
            ended = os.waitid(os.P_PIDFD, descriptor, os.WEXITED)
        except ChildProcessError:
            ended = None  # taken by somebody else's wait()
        os.close(descriptor)
        if ended is not None:
            exited = ended.si_code == os.CLD_EXITED
            _tell(cord, cords.ENDED, ended.si_status if exited else -ended.si_status)
        cord.close()

    def _become_worker(self, cord: socket.socket) -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL if self._on_child is None else self._on_child)
        for descriptor in (*self._private, *self._workers):
            os.close(descriptor)
        self._control.detach()
        for other in self._workers.values():
            other.close()
        self._all = set()
        try:
            cords.tell_born(cord)
        except OSError:
            os._exit(1)  # the pool wants it no more
        cord.close()
        for number, descriptor in zip((1, 2), self._asked[_STDOUT:], strict=False):
            os.dup2(descriptor, number)
            os.close(descriptor)

    def _give_up_unless_fit(self) -> None:
        reason = why_not_to_fork()
        if reason:
            try:  # noqa: SIM105 - contextlib is not imported in every worker
                self._control.send(reason.encode())
            except OSError:
                pass
            os._exit(0)

    def _close_in_child(self) -> None:
        """In a child that the user's modules have forked while they were imported: hold nothing."""
        if self._makes_worker:
            return
        cord_numbers = [cord.fileno() for cord in self._workers.values()]
        for descriptor in (*self._all, *self._workers, *cord_numbers, *self._asked):
            try:  # noqa: SIM105 - as below
                os.close(descriptor)
            except OSError:
                pass  # the user's own code had closed it


class _Redirected:
    """Standard output and error led into two descriptors for a while, if there are any."""

    def __init__(self, descriptors: list[int]) -> None:
        self._pairs = list(zip((1, 2), descriptors, strict=False))
        self._kept: list[int] = []

    def __enter__(self) -> None:
        for number, descriptor in self._pairs:
            self._kept.append(os.dup(number))
            os.dup2(descriptor, number)

    def __exit__(self, *_: object) -> None:
        for (number, _descriptor), kept in zip(self._pairs, self._kept, strict=True):
            os.dup2(kept, number)
            os.close(kept)


def _tell(cord: socket.socket, what: bytes, number: int) -> None:
    try:  # noqa: SIM105 - contextlib is not imported in every worker
        cord.send(what + cords.packed(number))
    except OSError:
        pass  # the pool does not listen any more


def _changes(before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    return {name: level for name, level in now.items() if before.get(name) != level}


def _reseed() -> None:
    """Let workers draw different random numbers, as `random` itself sees to after a fork."""
    random: Any = sys.modules.get("numpy.random")
    if random is not None:
        random.seed()
