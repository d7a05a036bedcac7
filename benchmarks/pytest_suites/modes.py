"""The ways to run a suite that are compared."""

from __future__ import annotations

from dataclasses import dataclass

NO_XDIST = ("-p", "no:xdist")
NO_WORKPOOL = ("-p", "no:workpool")


@dataclass(frozen=True, slots=True)
class Mode:
    """A way to run tests: what is added to pytest's command line."""

    name: str
    arguments: tuple[str, ...]
    keeps_cache: bool = False
    """Whether a run finds what an earlier one has left in pytest's cache."""

    @property
    def is_ours(self) -> bool:
        """Whether this package's plugin runs the tests."""
        return self.name.startswith("workpool")

    @property
    def is_xdist(self) -> bool:
        """Whether pytest-xdist runs the tests."""
        return self.name.startswith("xdist")


def xdist(dist: str, workers: int) -> Mode:
    """Return xdist with one of its distributions."""
    return Mode(f"xdist {dist}", (*NO_WORKPOOL, "-n", str(workers), "--dist", dist))


def modes(workers: int, extra: tuple[str, ...] = ()) -> list[Mode]:
    """Return all modes; `extra` are further options for this package's plugin."""
    ours = (*NO_XDIST, f"--workpool={workers}", *extra)
    return [
        Mode(SERIAL, (*NO_XDIST, *NO_WORKPOOL)),
        *(xdist(dist, workers) for dist in ("load", "worksteal", "loadscope")),
        Mode(OURS, ours),
        Mode(OURS_AGAIN, ours, keeps_cache=True),
    ]


SERIAL = "serial"
OURS = "workpool"
OURS_AGAIN = "workpool, again"
