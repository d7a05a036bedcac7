"""One experiment: `python -m benchmarks.peer_faults.child PEER FAULT FOLDER`, run by the runner.

Peers that spawn their workers import the parent's main module in each of them, which is this
one: what it needs is imported inside `main`, so that it does not burden them.
"""

import sys


def main(peer_name: str, fault_name: str, folder_name: str) -> None:
    """Experiment and write what was observed as JSON to a file; let every exception pass."""
    import json
    import os
    import resource
    from pathlib import Path

    from benchmarks.peer_faults.faults import FAULTS
    from benchmarks.peer_faults.runner import RESULT
    from benchmarks.peer_faults.subjects import PEERS
    from benchmarks.peer_faults.subjects.base import Subject
    from benchmarks.peer_faults.tasks import EXEMPT, STARTS, die_at_start

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    folder, fault = Path(folder_name), FAULTS[fault_name]
    os.environ[STARTS] = str(folder / "starts")
    os.environ[EXEMPT] = str(os.getpid())
    subject = PEERS[peer_name].make()
    if fault.experiment is None:
        subject.script([("loop", str(folder / f"loop-{number}")) for number in range(4)])
        return

    observe = fault.load()

    def experiment(opened: Subject) -> None:
        draft = folder / "draft"
        draft.write_text(json.dumps(observe(opened, folder)))
        draft.rename(folder / RESULT)

    subject.conduct(experiment, die_at_start if fault.has_deadly_start else None)


if __name__ == "__main__":
    main(*sys.argv[1:])
