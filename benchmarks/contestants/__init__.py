"""Who takes part. A contestant's module is imported only in the process that measures it."""

from dataclasses import dataclass
from importlib import import_module

from benchmarks.contestants.base import Contestant

POOL_MEASURES = frozenset({"rate", "round-trip", "skew", "first-result", "idle"})
BASELINE = "executor-asyncio"
SUBMITTED = "executor"
OURS = "workpool"
OURS_SYNC = "workpool-sync"
OURS_EXECUTOR = "workpool-executor"
PYTHON_PASS = "python-pass"


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the table."""

    title: str
    module: str
    class_name: str
    distribution: str = ""
    """Whose version is shown; empty for what comes with Python."""
    measures: frozenset[str] = POOL_MEASURES

    def make(self) -> Contestant:
        """Import and make the contestant; raises ImportError where it is not installed."""
        module = import_module(f"benchmarks.contestants.{self.module}")
        contestant = getattr(module, self.class_name)()
        assert isinstance(contestant, Contestant)
        return contestant


def _floor(title: str, class_name: str, *measures: str) -> Entry:
    return Entry(title, "floor", class_name, measures=frozenset(measures))


ENTRIES: dict[str, Entry] = {
    OURS: Entry(
        "workpool",
        "ours",
        "Workpool",
        "workpool",
        POOL_MEASURES | {"crowd", "backlog"},
    ),
    "workpool-map": Entry("workpool, map", "ours", "WorkpoolMap", "workpool"),
    OURS_SYNC: Entry(
        "workpool.sync",
        "ours_blocking",
        "WorkpoolSync",
        "workpool",
        POOL_MEASURES | {"backlog"},
    ),
    OURS_EXECUTOR: Entry(
        "workpool.Executor",
        "ours_blocking",
        "WorkpoolExecutor",
        "workpool",
        POOL_MEASURES | {"backlog"},
    ),
    BASELINE: Entry(
        "ProcessPoolExecutor, asyncio",
        "futures",
        "AsyncioExecutor",
        measures=POOL_MEASURES | {"backlog"},
    ),
    SUBMITTED: Entry(
        "ProcessPoolExecutor, submit",
        "futures",
        "StandardExecutor",
        measures=POOL_MEASURES | {"backlog"},
    ),
    "pool-apply": Entry(
        "multiprocessing.Pool, apply_async",
        "standard_pool",
        "PoolApply",
        measures=POOL_MEASURES | {"backlog"},
    ),
    "pool-map": Entry("multiprocessing.Pool, map", "standard_pool", "PoolMap"),
    "loky": Entry("loky", "loky_executor", "Loky", "loky"),
    "pebble": Entry("pebble", "pebble_pool", "Pebble", "pebble"),
    "mpire-apply": Entry("mpire, apply_async", "mpire_pool", "MpireApply", "mpire"),
    "mpire-map": Entry("mpire, map", "mpire_pool", "MpireMap", "mpire"),
    "anyio": Entry("anyio.to_process", "anyio_process", "Anyio", "anyio"),
    "trio-parallel": Entry("trio-parallel", "trio_process", "TrioParallel", "trio-parallel"),
    "aiomultiprocess": Entry(
        "aiomultiprocess", "aio_multiprocess", "AioMultiprocess", "aiomultiprocess"
    ),
    "joblib": Entry("joblib", "joblib_parallel", "Joblib", "joblib"),
    "bare-futures": _floor("floor: asyncio.gather of bare futures", "BareFutures", "rate"),
    "ping-pong": _floor("floor: socket ping-pong on one core", "PingPong", "round-trip"),
    "ping-pong-apart": _floor(
        "floor: socket ping-pong on two cores", "PingPongApart", "round-trip"
    ),
    PYTHON_PASS: _floor("floor: python -c pass", "BareInterpreter", "first-result"),
}
QUICK_NAMES = [
    OURS,
    OURS_SYNC,
    OURS_EXECUTOR,
    BASELINE,
    SUBMITTED,
    "bare-futures",
    "ping-pong",
    "ping-pong-apart",
    PYTHON_PASS,
]
