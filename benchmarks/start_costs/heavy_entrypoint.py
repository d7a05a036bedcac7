"""An entrypoint whose import takes about 0.3 s of processor time and 40 MB: as much as a large library's."""

import os
import time
from time import monotonic

_end = time.process_time() + 0.3
TABLE = [float(number) for number in range(1_000_000)]
while time.process_time() < _end:
    pass

IMPORTED = monotonic()


def run(order: str) -> int:
    """Return this process's id, or end it."""
    if order == "end":
        os._exit(1)
    return os.getpid()
