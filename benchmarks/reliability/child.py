"""One measure in a process of its own: `python -m benchmarks.reliability.child NAME SETTINGS FILE`.

So no measure sees the memory, the descriptors or the warm caches that another has left.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from benchmarks.reliability.finding import Finding
from benchmarks.reliability.settings import Settings

MEASURES = {
    "deaths": "from a worker's death to the failed task, and to the replacement",
    "races": "tasks that end as they are cancelled or their time is up",
    "restarts": "what many restarts of workers leave behind",
    "orphans": "SIGKILL of the parent, whatever its workers are doing",
    "payloads": "arguments and results of awkward sizes",
}
"""Each is a module here with one function `measure`."""


def main(name: str, settings_json: str, result_path: str) -> None:
    """Measure and write the findings as JSON to a file; let every exception pass."""
    given = json.loads(settings_json)
    settings = Settings(**{**given, "payload_sizes": tuple(given["payload_sizes"])})
    measure: Callable[[Settings], list[Finding]]
    measure = import_module(f"benchmarks.reliability.{name}").measure
    findings = [asdict(finding) for finding in measure(settings)]
    Path(result_path).write_text(json.dumps(findings))


if __name__ == "__main__":
    main(*sys.argv[1:])
