"""One point of a sweep in a process of its own; imports late, for what the workers import is this."""

from __future__ import annotations

import sys


def main(sweep: str, contestant_name: str, step: str, result_path: str) -> None:
    """Measure and write the figures as JSON."""
    import json
    from pathlib import Path

    from benchmarks.contestants import ENTRIES, OURS
    from benchmarks.scale.sweeps import SWEEPS

    contestant = ENTRIES[contestant_name].make()
    is_slow = contestant_name != OURS
    figures = SWEEPS[sweep].measure(contestant, int(step), is_slow)
    Path(result_path).write_text(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
