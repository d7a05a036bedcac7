"""One measurement of one contestant: `python -m benchmarks.child`, run by the runner.

Peers that spawn their workers import the parent's main module in each of them, which is this
one: what it needs is imported inside `main`, so that it does not burden them.
"""

import sys


def main(contestant_name: str, measure_name: str, settings_json: str, result_path: str) -> None:
    """Measure and write the figures as JSON to a file; let every exception pass."""
    import json
    from importlib.metadata import PackageNotFoundError, version
    from pathlib import Path

    from benchmarks.contestants import ENTRIES
    from benchmarks.measures import MEASURES
    from benchmarks.settings import Settings

    entry = ENTRIES[contestant_name]
    settings = Settings(**json.loads(settings_json))
    contestant = entry.make()
    figures = MEASURES[measure_name].load()(contestant, settings)
    try:
        release = version(entry.distribution) if entry.distribution else ""
    except PackageNotFoundError:  # imported from a source tree that is not installed
        release = ""
    Path(result_path).write_text(json.dumps({"figures": figures, "version": release}))


if __name__ == "__main__":
    main(*sys.argv[1:])
