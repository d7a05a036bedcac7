"""What the workers of a chaos run do. Light: they import it.

A job is a plain tuple, see `Job`: the index of the task, what it does, for how many seconds, the
argument's payload, the size of the result's payload and a further detail.
"""

from __future__ import annotations

import os
import time
from _pickle import PickleBuffer
from types import SimpleNamespace

from benchmarks.chaos import ledger
from workpool import TaskCancelled, entrypoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from workpool import WorkerClient

    Job = tuple[int, str, float, Any, int, str]
    Answer = tuple[int, str, int, Any]

LEDGER_VARIABLE = "WORKPOOL_CHAOS_LEDGER"
POOL_VARIABLE = "WORKPOOL_CHAOS_POOL"

SLEEP, SPIN, RAISE, DIE, DIE_ONCE, STUBBORN, SWELL = (
    "sleep",
    "spin",
    "raise",
    "die",
    "die once",
    "stubborn",
    "swell",
)

TELL = "tell"
"""The detail of a task that sends a message when it runs."""

SWELL_BYTES = 8 << 20
_SIGNALS = {"SIGSEGV": 11, "SIGTERM": 15, "SIGKILL": 9}


class Deliberate(Exception):
    """Raised by a task that is meant to raise; its argument is the index of the task."""


class WrongArgument(Exception):
    """A task was given another argument than was sent."""


class Blob:
    """Bytes that travel out of band when they are many."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __reduce_ex__(self, _protocol: Any) -> tuple[type[Blob], tuple[PickleBuffer]]:
        return Blob, (PickleBuffer(self.data),)


def payload(seed: int, size: int) -> bytes:
    """Return bytes that tell whose they are."""
    pattern = (seed & 0xFFFFFFFF).to_bytes(4, "little")
    return (pattern * (size // 4 + 1))[:size]


def is_payload(value: Any, seed: int, size: int) -> bool:
    """Whether a value that came back is the payload that was meant."""
    data = value.data if isinstance(value, Blob) else value
    return len(data) == size and data == payload(seed, size)


def pack_answer(index: int, process: str, start: int) -> int:
    """Return an answer without a payload as one number."""
    pid, began = map(int, process.split("."))
    return ((index << 64 | pid) << 64 | began) << 64 | start


def unpack_answer(number: int) -> Answer:
    """Return the answer that was packed."""
    index, pid, began, start = (number >> bits & (1 << 64) - 1 for bits in (192, 128, 64, 0))
    return index, f"{pid}.{began}", start, b""


def result_seed(index: int) -> int:
    """Return what the result's payload is made of: not what the argument's is."""
    return ~index


def start_worker(client: WorkerClient) -> None:
    client.state.ledger = writer = ledger.LedgerWriter(os.environ[LEDGER_VARIABLE])
    client.state.ballast = []
    client.on_message("nudge", lambda _content, _client: None)
    writer.write(ledger.BIRTH, ledger.NO_TASK, str(client.worker_id))


def end_worker(client: WorkerClient) -> None:
    client.state.ledger.write(ledger.EXIT, ledger.NO_TASK, str(client.worker_id))


@entrypoint
def run(job: Job, client: WorkerClient) -> Answer:
    """Do a job, with a line in the ledger at its start and another at its end."""
    writer, index = client.state.ledger, _index(job)
    start = writer.write(ledger.START, index, str(client.worker_id))
    how = ledger.RAISED
    try:
        _check(job, client)
        _act(job, client)
        answer = _answer(job, writer.process, start)
        how = ledger.OK
        return answer
    except TaskCancelled:
        how = ledger.INTERRUPTED
        raise
    finally:
        writer.write(ledger.END, index, how)


run.on_worker_start(start_worker)
run.on_worker_exit(end_worker)


@entrypoint
async def run_async(job: Job, client: WorkerClient) -> Answer:
    """As `run`, as a coroutine."""
    from asyncio import CancelledError

    writer, index = client.state.ledger, _index(job)
    start = writer.write(ledger.START, index, str(client.worker_id))
    how = ledger.RAISED
    try:
        _check(job, client)
        await _act_async(job, client)
        answer = _answer(job, writer.process, start)
        how = ledger.OK
        return answer
    except CancelledError:
        how = ledger.INTERRUPTED
        raise
    finally:
        writer.write(ledger.END, index, how)


run_async.on_worker_start(start_worker)
run_async.on_worker_exit(end_worker)


class _NoClient:
    """Stands in for the worker's client, which tasks that travel together cannot have."""

    def __init__(self) -> None:
        self.state = SimpleNamespace()
        self.worker_id = -1

    def begin(self) -> None:
        """Find out which worker this is, when its first task begins: it has no start hook either."""
        self.worker_id = ledger.own_slot(os.environ[POOL_VARIABLE])
        self.state.ballast = []
        self.state.ledger = ledger.LedgerWriter(os.environ[LEDGER_VARIABLE])
        self.state.ledger.write(ledger.BIRTH, ledger.NO_TASK, str(self.worker_id))

    def post_message_to_pool(self, _type: str, _content: object) -> None:
        pass


_no_client = _NoClient()


@entrypoint
def run_tiny(job: Job) -> Answer | int:
    """As `run`, without a client: what may travel in a batch.

    An answer without a payload is a number, which a worker may keep on its shelf.
    """
    if _no_client.worker_id < 0:
        _no_client.begin()
    answer = run(job, _no_client)  # type: ignore[arg-type]
    return answer if answer[3] else pack_answer(*answer[:3])


def _end_tiny_worker(_client: WorkerClient) -> None:
    if _no_client.worker_id >= 0:
        end_worker(_no_client)  # type: ignore[arg-type]


run_tiny.on_worker_exit(_end_tiny_worker)


def _index(job: Job) -> int:
    """Return the task's index; raise if this is no job at all."""
    if not isinstance(job, tuple) or len(job) != 6 or not isinstance(job[0], int):
        raise WrongArgument(f"no job: {job!r:.200}")
    return job[0]


def _check(job: Job, client: WorkerClient) -> None:
    index, content = job[0], job[3]
    if job[5] == TELL:
        client.post_message_to_pool("running", index)
    data = content.data if isinstance(content, Blob) else content
    if not is_payload(data, index, len(data)):
        raise WrongArgument(f"task {index} has the argument of another, or a damaged one")


def _answer(job: Job, process: str, start: int) -> Answer:
    index, _, _, content, size, _ = job
    data = payload(result_seed(index), size)
    return index, process, start, Blob(data) if isinstance(content, Blob) else data


def _act(job: Job, client: WorkerClient) -> None:
    _, deed, seconds, _, _, _ = job
    if deed == SLEEP:
        time.sleep(seconds)
    elif deed == STUBBORN:
        _resist(seconds)
    else:
        _act_at_once(job, client)


async def _act_async(job: Job, client: WorkerClient) -> None:
    from asyncio import sleep

    _, deed, seconds, _, _, _ = job
    if deed == SLEEP:
        await sleep(seconds)
    elif deed == STUBBORN:
        await _resist_async(seconds)
    else:
        _act_at_once(job, client)


def _act_at_once(job: Job, client: WorkerClient) -> None:
    index, deed, seconds, _, _, detail = job
    if deed == SPIN:
        _spin(seconds)
    elif deed == RAISE:
        raise Deliberate(index)
    elif deed == DIE or (deed == DIE_ONCE and _first_time(index)):
        _spin(seconds)
        _die(job, client, detail)
    elif deed == SWELL:
        client.state.ballast.append(bytearray(b"x") * SWELL_BYTES)


def _spin(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def _resist(seconds: float) -> None:
    """Take so long, whoever interrupts."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        try:
            time.sleep(left)
        except TaskCancelled:
            continue


async def _resist_async(seconds: float) -> None:
    from asyncio import CancelledError, sleep

    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        try:
            await sleep(left)
        except CancelledError:
            continue


def _first_time(index: int) -> bool:
    """Whether this task has not got so far before, in any worker."""
    mark = f"{os.environ[LEDGER_VARIABLE]}.{index}"
    try:
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def _die(job: Job, client: WorkerClient, how: str) -> None:
    client.state.ledger.write(ledger.DEATH, job[0], how)
    kind, _, code = how.partition(" ")
    if kind == "exit":
        os._exit(int(code))
    os.kill(os.getpid(), _SIGNALS[kind])
