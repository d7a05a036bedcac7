"""`python -m benchmarks.joblib_sklearn`: scikit-learn through joblib, on loky and on workpool.

Each figure is the time of one call in a process of its own, which does the same call before it is
measured (but for the first one's row), so that the workers are warm. The two backends take turns, and
each round begins with the other one. The table has medians over the rounds, and the median of the
ratios within the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from benchmarks import machine
from benchmarks.report import table

BACKENDS = ("workpool", "loky")
CALLS_PER_ROUND = 3
SECONDS = 300.0
"""After which one process is taken to hang."""


def small_data() -> Callable[[], Any]:
    """100 fits of a few milliseconds: what the backend costs is most of the time."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import ShuffleSplit, cross_val_score
    from sklearn.naive_bayes import GaussianNB

    inputs, targets = load_digits(return_X_y=True)
    splits = ShuffleSplit(100, random_state=0)
    return lambda: cross_val_score(GaussianNB(), inputs, targets, cv=splits)


def grid_search() -> Callable[[], Any]:
    """A search over 16 settings with 5 folds each: fits of different lengths."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import GridSearchCV
    from sklearn.svm import SVC

    inputs, targets = load_digits(return_X_y=True)
    inputs, targets = inputs[:500], targets[:500]
    grid = {"C": [0.1, 1, 10, 100], "gamma": [1e-4, 5e-4, 1e-3, 1e-2]}
    return lambda: GridSearchCV(SVC(), grid, cv=5).fit(inputs, targets)


def large_data() -> Callable[[], Any]:
    """20 fits on one array of 80 MB, which every task takes."""
    import numpy
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import ShuffleSplit, cross_val_score

    random = numpy.random.default_rng(0)
    inputs = random.normal(size=(200_000, 50))
    targets = inputs @ random.normal(size=50) + random.normal(size=200_000)
    splits = ShuffleSplit(20, train_size=0.2, test_size=0.1, random_state=0)
    return lambda: cross_val_score(Ridge(), inputs, targets, cv=splits)


CASES: dict[str, Callable[[], Callable[[], Any]]] = {
    "small data": small_data,
    "grid search": grid_search,
    "large data": large_data,
}


def measure(case: str, backend: str, jobs: int) -> list[float]:
    """Return the seconds of the first call and of the calls after it."""
    import joblib

    import workpool.joblib

    warnings.simplefilter("ignore")
    call = CASES[case]()
    times = []
    with joblib.parallel_config(backend=backend, n_jobs=jobs):
        for _ in range(1 + CALLS_PER_ROUND):
            begun = time.perf_counter()
            call()
            times.append(time.perf_counter() - begun)
    workpool.joblib.close()
    return times


def measure_apart(case: str, backend: str, jobs: int) -> list[float]:
    """Do so in a process of its own."""
    child = [sys.executable, "-m", "benchmarks.joblib_sklearn", "--child", case, backend, str(jobs)]
    finished = subprocess.run(child, stdout=subprocess.PIPE, check=True, timeout=SECONDS)
    times: list[float] = json.loads(finished.stdout)
    return times


def compare(case: str, rounds: int, jobs: int) -> list[list[str]]:
    """Measure a case on both backends; return the rows of its first call and of the others."""
    first: dict[str, list[float]] = {backend: [] for backend in BACKENDS}
    warm: dict[str, list[float]] = {backend: [] for backend in BACKENDS}
    for number in range(rounds):
        for backend in BACKENDS[:: 1 if number % 2 else -1]:
            cold, *others = measure_apart(case, backend, jobs)
            first[backend].append(cold)
            warm[backend].append(median(others))
    return [row(f"{case}, first call", first), row(f"{case}, later calls", warm)]


def row(name: str, times: dict[str, list[float]]) -> list[str]:
    """Return a row of the table: medians in milliseconds, and the median of the ratios."""
    ours, theirs = (times[backend] for backend in BACKENDS)
    ratio = median(our / their for our, their in zip(ours, theirs, strict=True))
    return [name, f"{median(ours) * 1e3:.0f}", f"{median(theirs) * 1e3:.0f}", f"{ratio:.2f}"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.joblib_sklearn")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", action="append", choices=CASES, help="this case; repeatable")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        case, backend, jobs = options.child
        print(json.dumps(measure(case, backend, int(jobs))))
        return 0
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    print("; ".join(machine.describe().values()))
    rows = [
        each
        for case in options.only or CASES
        for each in compare(case, options.rounds, options.jobs)
    ]
    print(table(["cross-validation", "workpool ms", "loky ms", "ratio"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
