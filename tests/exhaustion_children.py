"""What brings a process to its limits, in a worker or here. Light: workers import it."""

# pathlib would be the largest import of a worker:
# ruff: noqa: PTH123

from __future__ import annotations

import os
import resource

_held: list[int] = []
_before: dict[int, tuple[int, int]] = {}


def leave_descriptors(free: int) -> None:
    """Leave this process so many descriptors to open."""
    _set(resource.RLIMIT_NOFILE, 1 + free + max(map(int, os.listdir("/proc/self/fd"))))
    try:
        while True:
            _held.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        for _ in range(free):
            os.close(_held.pop())


def leave_memory(free: int) -> None:
    """Leave this process so many bytes of addresses to map."""
    with open("/proc/self/statm", "rb") as file:
        pages = int(file.read().split()[0])
    _set(resource.RLIMIT_AS, pages * os.sysconf("SC_PAGE_SIZE") + free)


def lift_limits() -> None:
    """Undo all of that."""
    while _held:
        os.close(_held.pop())
    while _before:
        resource.setrlimit(*_before.popitem())


def _set(limit: int, soft: int) -> None:
    _before[limit] = resource.getrlimit(limit)
    resource.setrlimit(limit, (soft, _before[limit][1]))


def fail_to_fetch(count: int) -> None:
    """Let this worker be without the memory to fetch the next parcels, so many."""
    import errno

    from workpool._worker.worker import Worker

    fetch, left = Worker._fetch, count

    def fail_first(self: Worker, offset: int) -> int:
        nonlocal left
        if not left:
            return fetch(self, offset)
        left -= 1
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    Worker._fetch = fail_first  # type: ignore[method-assign]


def fail_to_announce() -> None:
    """Let this worker's next announcement of a parcel, which is then on its way, not go out."""
    import errno

    from workpool._frames import IN_PARCEL, REPORT
    from workpool._worker import reporter

    class System:
        """What the reporter asks of the system."""

        close = os.close
        failed = False

        @classmethod
        def write(cls, descriptor: int, data: bytes) -> int:
            if not cls.failed and REPORT.unpack_from(data)[1] & IN_PARCEL:
                cls.failed = True
                raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
            return os.write(descriptor, data)

    vars(reporter)["os"] = System
