"""Evidence for a death by SIGKILL: how many processes the kernel has ended for lack of memory."""

from __future__ import annotations


class OomKills:
    """Counts the kernel's out-of-memory kills, of the whole machine, from one look to the next."""

    def __init__(self) -> None:
        self._seen = _count()

    def since_last_look(self) -> int | None:
        """Return how many there were since the last look, or the start; None if nobody knows."""
        before, self._seen = self._seen, _count()
        return None if before is None or self._seen is None else self._seen - before


def _count() -> int | None:
    try:
        with open("/proc/vmstat", "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith(b"oom_kill ")), None)
