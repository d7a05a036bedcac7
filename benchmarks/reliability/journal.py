"""An account that tasks keep themselves, independent of the pool: one line per event.

Lines are appended with one `write` each to a file opened with O_APPEND, so that no death of a
process and no other writer can tear them or take them away. Light: workers import it.
"""

import os

BEGUN, ENDED, INTERRUPTED = "b", "e", "i"

_descriptors: dict[str, int] = {}


def note(path: str, number: int, mark: str) -> None:
    """Write down an event of a task; the file stays open in this process."""
    descriptor = _descriptors.get(path)
    if descriptor is None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        descriptor = _descriptors[path] = os.open(path, flags, 0o600)
    os.write(descriptor, f"{number} {mark}\n".encode())


def read(path: str) -> dict[int, str]:
    """Return the marks of every task, in their order, as one string each."""
    marks: dict[int, str] = {}
    # pathlib would be a large import for a worker.
    with open(path, "a+", encoding="ascii") as file:  # noqa: PTH123 - and it may not be there yet
        file.seek(0)
        for line in file:
            number, mark = line.split()
            marks[int(number)] = marks.get(int(number), "") + mark
    return marks


def forget(path: str) -> None:
    """Close the file of a journal in this process."""
    os.close(_descriptors.pop(path))
