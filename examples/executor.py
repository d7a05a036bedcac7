"""`workpool.Executor` in the place of a ProcessPoolExecutor: the same code, and a crash costs one call.

python examples/executor.py
"""

from __future__ import annotations

import math
import os
import signal
from concurrent.futures import as_completed

from workpool import Executor, WorkerCrashed


def digits_of_factorial(number: int) -> int:
    """Return how many digits a factorial has; with zero, end as if the memory had run out."""
    if number == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return len(str(math.factorial(number)))


with Executor(max_workers=2) as executor:
    print("in order:", list(executor.map(digits_of_factorial, [10, 100, 1000])))

    futures = {executor.submit(digits_of_factorial, number): number for number in (5, 0, 20)}
    outcomes = {}
    for future in as_completed(futures):
        try:
            outcomes[futures[future]] = str(future.result())
        except WorkerCrashed as error:
            outcomes[futures[future]] = f"crashed ({error.signal_name})"
    for number, outcome in sorted(outcomes.items()):
        print(f"{number}: {outcome}")

    power = executor.submit(lambda base: base**2, 12)  # functions of __main__ and lambdas will do
    print("afterwards:", power.result())
