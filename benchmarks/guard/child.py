"""One pair in a process of its own: `python -m benchmarks.guard.child`, run by the judge.

What pools that fork or spawn import in their workers is this module: it imports late.
"""

from __future__ import annotations

import sys


def main(pair_name: str, seconds: str, result_path: str) -> None:
    """Measure for about so long; write theirs/ours by figure and clock as JSON."""
    import json
    from pathlib import Path

    from benchmarks.guard.rounds import measure

    Path(result_path).write_text(json.dumps(measure(pair_name, float(seconds))))


if __name__ == "__main__":
    main(*sys.argv[1:])
