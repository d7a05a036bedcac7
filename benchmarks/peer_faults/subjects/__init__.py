"""Who is examined. A subject's module is imported only in the processes that examine it."""

from dataclasses import dataclass
from importlib import import_module

from benchmarks.peer_faults.subjects.base import Subject


@dataclass(frozen=True, slots=True)
class Peer:
    """One column of the table."""

    title: str
    module: str
    class_name: str
    distribution: str = ""
    """Whose version is shown; empty for what comes with Python."""

    def make(self) -> Subject:
        """Import and make the subject; raises ImportError where it is not installed."""
        module = import_module(f"{__name__}.{self.module}")
        subject = getattr(module, self.class_name)()
        assert isinstance(subject, Subject)
        return subject


PEERS: dict[str, Peer] = {
    "workpool": Peer("workpool", "ours", "Workpool", "workpool"),
    "executor": Peer("ProcessPoolExecutor", "standard_executor", "StandardExecutor"),
    "pool": Peer("multiprocessing.Pool", "standard_pool", "StandardPool"),
    "loky": Peer("loky", "loky_executor", "Loky", "loky"),
    "joblib": Peer("joblib", "joblib_parallel", "Joblib", "joblib"),
    "pebble": Peer("pebble", "pebble_pool", "Pebble", "pebble"),
    "mpire": Peer("mpire", "mpire_pool", "Mpire", "mpire"),
    "anyio": Peer("anyio.to_process", "anyio_process", "Anyio", "anyio"),
    "trio-parallel": Peer("trio-parallel", "trio_process", "TrioParallel", "trio-parallel"),
    "aiomultiprocess": Peer(
        "aiomultiprocess", "aio_multiprocess", "AioMultiprocess", "aiomultiprocess"
    ),
}
