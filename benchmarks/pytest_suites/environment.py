"""The environment of the runs: a virtual one with the runners, and the unpacked distributions."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.pytest_suites.suites import SUITES, Suite

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
PIP_SECONDS = 600.0


class CannotPrepare(Exception):
    """Something could not be fetched or installed; says what and why."""


@dataclass(frozen=True, slots=True)
class Environment:
    """A folder with the virtual environment `venv` and the unpacked `sources`."""

    folder: Path

    @property
    def python(self) -> Path:
        """Return the interpreter of the virtual environment."""
        return self.folder / "venv" / "bin" / "python"

    def place_of(self, suite: Suite) -> Path:
        """Return the folder of an unpacked distribution."""
        return self.folder / "sources" / suite.folder


def prepare(folder: Path, suites: Iterable[Suite]) -> Environment:
    """Make the environment, or what is missing of it. Raises `CannotPrepare`."""
    environment = Environment(folder.resolve())
    folder.mkdir(parents=True, exist_ok=True)
    wanted = list(suites)
    for suite in wanted:
        if not environment.place_of(suite).exists():
            _fetch(environment, suite)
    _install(environment)
    _make_importable(environment)
    return environment


def has_our_plugin(environment: Environment) -> bool:
    """Tell whether the installed checkout brings a plugin for pytest."""
    question = "from importlib.metadata import entry_points as e; print(*e(group='pytest11').names)"
    return "workpool" in _call([str(environment.python), "-c", question]).split()


def versions(environment: Environment) -> dict[str, str]:
    """Return the runners with their versions, by name."""
    question = "from importlib.metadata import version as v; print(v('pytest'), v('pytest-xdist'))"
    found = _call([str(environment.python), "-c", question]).split()
    names = ("pytest", "pytest-xdist")
    return {name: f"{name} {version}" for name, version in zip(names, found, strict=True)}


def _fetch(environment: Environment, suite: Suite) -> None:
    """Download a source distribution and unpack it."""
    sources = environment.folder / "sources"
    sources.mkdir(exist_ok=True)
    options = ["--no-deps", "--no-binary", suite.name, "--dest", str(sources)]
    _pip(["download", "--quiet", *options, suite.requirement])
    (archive,) = sources.glob(f"{suite.folder}.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(sources, filter="data")


def _install(environment: Environment) -> None:
    """Make the virtual environment unless it is there and up to date."""
    stamp = environment.folder / "installed"
    wanted = hashlib.sha256()
    for path in (HERE / "requirements.txt", ROOT / "pyproject.toml"):
        wanted.update(path.read_bytes())
    if stamp.exists() and stamp.read_text() == wanted.hexdigest():
        return
    if not environment.python.exists():
        place = str(environment.folder / "venv")
        _call([sys.executable, "-m", "venv", "--without-pip", place])
    requirements = ["-r", str(HERE / "requirements.txt"), "-e", str(ROOT)]
    _pip(["--python", str(environment.python), "install", "--quiet", *requirements])
    stamp.write_text(wanted.hexdigest())


def _make_importable(environment: Environment) -> None:
    """Put the unpacked projects on the import path: none has to be built for its tests."""
    (packages,) = (environment.folder / "venv" / "lib").glob("python*/site-packages")
    places = [environment.place_of(suite) / suite.sources for suite in SUITES.values()]
    (packages / "pytest_suites.pth").write_text("".join(f"{place}\n" for place in places))


def _pip(arguments: Sequence[str]) -> None:
    _call([sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments])


def _call(command: Sequence[str]) -> str:
    """Return what a command prints. Raises `CannotPrepare` with what it said if it fails."""
    finished = subprocess.run(command, capture_output=True, text=True, timeout=PIP_SECONDS)
    if finished.returncode != 0:
        said = (finished.stdout + finished.stderr)[-2000:]
        raise CannotPrepare(f"{' '.join(command)}\nended with {finished.returncode}:\n{said}")
    return finished.stdout
