"""The suites of real projects: where they come from and how they are run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Suite:
    """A project's tests, as its source distribution has them."""

    name: str
    version: str
    arguments: tuple[str, ...]
    sources: str = "."
    """The folder, within the distribution, from which the project is imported."""
    is_shuffled: bool = False
    """Whether each process finds its tests in another order, with which pytest-xdist refuses to run."""

    @property
    def requirement(self) -> str:
        """Return what pip is asked for."""
        return f"{self.name}=={self.version}"

    @property
    def folder(self) -> str:
        """Return the name of the folder that the distribution unpacks to."""
        return f"{self.name.replace('-', '_')}-{self.version}"


SUITES = {
    suite.name: suite
    for suite in (
        Suite("pygments", "2.21.0", ("tests",)),
        Suite("more-itertools", "11.2.1", ("tests",)),
        Suite(
            "sqlalchemy",
            "2.1.9",
            ("test/orm/inheritance", "test/orm/dml", "test/orm/declarative"),
            sources="lib",
        ),
        Suite("sh", "2.4.0", ("tests/sh_test.py",), sources="src", is_shuffled=True),
        Suite(
            "networkx",
            "3.6.1",
            tuple(
                f"networkx/{package}"
                for package in ("classes", "drawing", "generators", "linalg", "readwrite", "utils")
            ),
        ),
    )
}
