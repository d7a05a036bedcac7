"""What is measured: each row is one suite that all modes run in turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.pytest_suites import synthetic
from benchmarks.pytest_suites.environment import Environment
from benchmarks.pytest_suites.suites import SUITES, Suite

WORKERS = 2


@dataclass(frozen=True, slots=True)
class Row:
    """A suite, how often it is run, and what else is looked at."""

    name: str
    rounds: int
    write: Callable[[Path], None] | None = None
    suite: Suite | None = None
    arguments: tuple[str, ...] = ()
    ideal: float = 0.0
    """Seconds that two perfect workers take, start-up apart; 0 where that is not known."""
    with_memory: bool = False
    only_modes: tuple[str, ...] = ()

    @property
    def is_real(self) -> bool:
        """Whether it is the suite of a real project."""
        return self.suite is not None

    def place(self, environment: Environment) -> Path:
        """Return the folder in which it is run, and write it if it is a made one."""
        if self.suite is not None:
            return environment.place_of(self.suite)
        folder = environment.folder / "synthetic" / self.name.replace(" ", "-")
        folder.mkdir(parents=True, exist_ok=True)
        # An ini-file of its own: what lies above this folder is nobody's business.
        (folder / "pytest.ini").write_text("[pytest]\n")
        assert self.write is not None
        self.write(folder)
        return folder


def _ideal(layout: str) -> float:
    seconds = synthetic.LAYOUTS[layout]
    return max(sum(seconds) / WORKERS, *seconds)


ONE, MANY, LAST_20, FIXTURES, EXIT = "one test", "many tests", "20 times", "fixtures", "exit first"

ROWS = {
    row.name: row
    for row in (
        *(
            Row(
                suite.name,
                3,
                suite=suite,
                arguments=suite.arguments,
                with_memory=suite.name == "sqlalchemy",
            )
            for suite in SUITES.values()
        ),
        Row(ONE, 10, write=synthetic.one),
        Row(MANY, 5, write=synthetic.many, with_memory=True),
        *(
            Row(layout, 3, write=synthetic.skewed(layout), ideal=_ideal(layout))
            for layout in synthetic.LAYOUTS
        ),
        Row(
            LAST_20,
            20,
            write=synthetic.skewed("long last"),
            ideal=_ideal("long last"),
            only_modes=("xdist worksteal", "workpool"),
        ),
        Row(FIXTURES, 9, write=synthetic.fixtures),
        Row(EXIT, 5, write=synthetic.early_failure, arguments=("-x",)),
    )
}
