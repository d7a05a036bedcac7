"""The joblib backend: importing this module registers it under the name ``"workpool"``.

    import joblib
    import workpool.joblib

    with joblib.parallel_config(backend="workpool"):
        results = joblib.Parallel()(joblib.delayed(function)(item) for item in items)

Needs joblib, the extra ``joblib``. `close` ends the workers that are kept for the next call.
"""

from __future__ import annotations

try:
    from joblib.parallel import register_parallel_backend
except ImportError as error:
    raise ImportError(
        "workpool.joblib needs joblib 1.4 or later, which cannot be imported here; install it with: "
        "python -m pip install 'workpool[joblib]'"
    ) from error

from workpool.joblib._backend import WorkpoolBackend
from workpool.joblib._pools import close

__all__ = ["WorkpoolBackend", "close"]

register_parallel_backend("workpool", WorkpoolBackend)
