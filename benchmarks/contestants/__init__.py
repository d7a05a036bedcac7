"""Who takes part. A contestant's module is imported only in the process that measures it."""

from dataclasses import dataclass
from importlib import import_module

from benchmarks.contestants.base import Contestant

POOL_MEASURES = frozenset({"rate", "round-trip", "skew", "first-result", "idle"})
TASK_MEASURES = POOL_MEASURES | {"payload"}
"""What is measured of pools that take one task at a time."""
MAP_MEASURES = POOL_MEASURES | {"bulk"}
EVERYTHING = TASK_MEASURES | {"backlog", "shared"}
BASELINE = "executor-asyncio"
SUBMITTED = "executor"
OURS = "workpool"
OURS_MAP = "workpool-map"
OURS_SYNC = "workpool-sync"
OURS_SYNC_MAP = "workpool-sync-map"
OURS_EXECUTOR = "workpool-executor"
OURS_EXECUTOR_MAP = "workpool-executor-map"
APPLIED = "pool-apply"
MAPPED = "pool-map"
BARE_FUTURES = "bare-futures"
PING_PONG = "ping-pong"
MEMORY_COPY = "memory-copy"
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
        EVERYTHING | {"crowd"},
    ),
    OURS_MAP: Entry("workpool, map", "ours", "WorkpoolMap", "workpool", MAP_MEASURES),
    OURS_SYNC: Entry("workpool.sync", "ours_blocking", "WorkpoolSync", "workpool", EVERYTHING),
    OURS_SYNC_MAP: Entry(
        "workpool.sync, map", "ours_blocking", "WorkpoolSyncMap", "workpool", MAP_MEASURES
    ),
    OURS_EXECUTOR: Entry(
        "workpool.Executor", "ours_blocking", "WorkpoolExecutor", "workpool", EVERYTHING
    ),
    OURS_EXECUTOR_MAP: Entry(
        "workpool.Executor, map", "ours_blocking", "WorkpoolExecutorMap", "workpool", MAP_MEASURES
    ),
    BASELINE: Entry(
        "ProcessPoolExecutor, asyncio",
        "futures",
        "AsyncioExecutor",
        measures=EVERYTHING,
    ),
    SUBMITTED: Entry(
        "ProcessPoolExecutor, submit",
        "futures",
        "StandardExecutor",
        measures=EVERYTHING,
    ),
    APPLIED: Entry(
        "multiprocessing.Pool, apply_async",
        "standard_pool",
        "PoolApply",
        measures=EVERYTHING,
    ),
    MAPPED: Entry("multiprocessing.Pool, map", "standard_pool", "PoolMap", measures=MAP_MEASURES),
    "loky": Entry("loky", "loky_executor", "Loky", "loky", TASK_MEASURES),
    "pebble": Entry("pebble", "pebble_pool", "Pebble", "pebble", TASK_MEASURES),
    "mpire-apply": Entry("mpire, apply_async", "mpire_pool", "MpireApply", "mpire", TASK_MEASURES),
    "mpire-map": Entry("mpire, map", "mpire_pool", "MpireMap", "mpire"),
    "anyio": Entry("anyio.to_process", "anyio_process", "Anyio", "anyio", TASK_MEASURES),
    "trio-parallel": Entry(
        "trio-parallel", "trio_process", "TrioParallel", "trio-parallel", TASK_MEASURES
    ),
    "aiomultiprocess": Entry(
        "aiomultiprocess", "aio_multiprocess", "AioMultiprocess", "aiomultiprocess"
    ),
    "joblib": Entry(
        "joblib", "joblib_parallel", "Joblib", "joblib", POOL_MEASURES | {"payload", "shared"}
    ),
    "dask": Entry(
        "dask.distributed", "dask_cluster", "Dask", "distributed", TASK_MEASURES | {"shared"}
    ),
    "ray": Entry("Ray", "ray_cluster", "Ray", "ray", TASK_MEASURES | {"shared"}),
    BARE_FUTURES: _floor("floor: asyncio.gather of bare futures", "BareFutures", "rate"),
    PING_PONG: _floor("floor: socket ping-pong", "PingPong", "round-trip"),
    "ping-pong-together": _floor(
        "floor: socket ping-pong on one core", "PingPongTogether", "round-trip"
    ),
    "ping-pong-apart": _floor(
        "floor: socket ping-pong on two cores", "PingPongApart", "round-trip"
    ),
    MEMORY_COPY: _floor("floor: the array copied", "MemoryCopy", "payload"),
    PYTHON_PASS: _floor("floor: python -c pass", "BareInterpreter", "first-result"),
}
SHORT_NAMES = [
    *(name for name in ENTRIES if name.startswith("workpool")),
    BASELINE,
    SUBMITTED,
    APPLIED,
    MAPPED,
    *(name for name, entry in ENTRIES.items() if entry.module == "floor"),
]
"""Whoever takes part in a goal, and the floors."""
