"""Other people's plugins do in workers what they do in a serial run.

They are installed into a virtual environment of this module's own, where they do not get into the way
of the tests' own pytest.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent

import pytest

import workpool

pytestmark = pytest.mark.deadline(400)

SOURCES = Path(workpool.__file__).parents[1]
REQUIREMENTS = Path(__file__).with_name("pytest_plugins.txt")

Done = subprocess.CompletedProcess[str]


class Runner:
    """Runs pytest with the plugins of the environment that are named, and no others."""

    def __init__(self, python: Path) -> None:
        self.python = python

    def __call__(self, folder: Path, plugins: Sequence[str], *arguments: str) -> Done:
        """Run the suite of a folder."""
        names = [option for name in ("workpool.pytest_plugin", *plugins) for option in ("-p", name)]
        environ = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "200"}
        environ["PYTHONPATH"] = str(SOURCES)
        (folder / "pytest.ini").touch()
        return subprocess.run(
            [self.python, "-m", "pytest", *names, *arguments],
            cwd=folder,
            env=environ,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=100,
        )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """Return what runs pytest in an environment with the plugins."""
    folder = tmp_path_factory.mktemp("plugins") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    runner = Runner(folder / "bin" / "python")
    pip = f"-m pip --disable-pip-version-check --python {runner.python}".split()
    subprocess.run([sys.executable, *pip, "install", "-qr", REQUIREMENTS], check=True, timeout=300)
    return runner


def counts(done: Done) -> dict[str, int]:
    """Return the counts of the last line."""
    try:
        found = pytest.RunResult.parse_summary_nouns(done.stdout.splitlines())
    except ValueError:
        raise AssertionError(done.stdout) from None
    return dict(found)


def write(folder: Path, name: str, text: str) -> None:
    """Write a file of the suite."""
    (folder / name).write_text(dedent(text))


def test_time_limits_by_signal(run: Runner, tmp_path: Path) -> None:
    """pytest-timeout ends a test that takes too long, the others run on."""
    write(
        tmp_path,
        "test_timeout.py",
        """
        import time, pytest
        @pytest.mark.timeout(0.3)
        def test_slow(): time.sleep(60)
        @pytest.mark.parametrize("n", range(6))
        def test_fast(n): pass
        """,
    )
    done = run(tmp_path, ["timeout"], "--workpool=2")
    assert counts(done) == {"failed": 1, "passed": 6}, done.stdout
    assert "Timeout" in done.stdout


def test_coroutines(run: Runner, tmp_path: Path) -> None:
    """pytest-asyncio and anyio run coroutine tests, with fixtures of wider scopes."""
    write(
        tmp_path,
        "test_async.py",
        """
        import asyncio, anyio, pytest, pytest_asyncio
        @pytest_asyncio.fixture(loop_scope="module", scope="module")
        async def loop(): yield asyncio.get_running_loop()
        @pytest.mark.asyncio(loop_scope="module")
        @pytest.mark.parametrize("n", range(8))
        async def test_same_loop(loop, n): assert loop is asyncio.get_running_loop()
        @pytest.mark.asyncio
        async def test_fails(): assert 0
        @pytest.fixture
        def anyio_backend(): return "asyncio"
        @pytest.fixture
        async def slept(): await anyio.sleep(0); return 1
        @pytest.mark.anyio
        @pytest.mark.parametrize("n", range(4))
        async def test_anyio(slept, n): assert slept == 1
        """,
    )
    plugins = ["asyncio", "anyio"]
    serial, parallel = (run(tmp_path, plugins, *mode) for mode in ([], ["--workpool=2"]))
    assert counts(parallel) == counts(serial) == {"failed": 1, "passed": 12}, parallel.stdout


def test_properties(run: Runner, tmp_path: Path) -> None:
    """hypothesis shows the smallest example that fails, and its statistics."""
    write(
        tmp_path,
        "test_properties.py",
        """
        from hypothesis import given, strategies as st
        @given(st.integers())
        def test_small(x): assert x < 100
        @given(st.text())
        def test_good(text): assert text == text[::-1][::-1]
        def test_plain(): pass
        """,
    )
    done = run(tmp_path, ["hypothesispytest"], "--workpool=2", "--hypothesis-show-statistics")
    assert counts(done) == {"failed": 1, "passed": 2}, done.stdout
    assert re.search(r"test_small\(\nE +x=100,\n", done.stdout)
    assert "test_good" in done.stdout[done.stdout.index("Hypothesis Statistics") :]


def test_coverage_is_combined(run: Runner, tmp_path: Path) -> None:
    """pytest-cov reports the lines that any of the workers has run."""
    write(
        tmp_path,
        "measured.py",
        """
        def one(): return 1
        def two(): return 2
        def three(): return 3
        """,
    )
    write(
        tmp_path,
        "test_cov.py",
        """
        import pathlib, time, measured

        def meet(name, other):
            pathlib.Path(name).touch()
            give_up = time.monotonic() + 30
            while not pathlib.Path(other).exists():
                assert time.monotonic() < give_up, f"{other} does not run beside {name}"
                time.sleep(0.01)

        def test_one(): assert measured.one() == 1; meet("one", "two")
        def test_two(): assert measured.two() == 2; meet("two", "one")
        """,
    )
    options = ["--cov=measured", "--cov-report=term-missing", "--workpool-scope=test"]
    done = run(tmp_path, ["pytest_cov"], "--workpool=2", *options)
    assert counts(done) == {"passed": 2}, done.stdout
    # The import has run three lines, the tests one each, in two processes, all but the last one.
    assert re.search(r"measured\.py +\d+ +1 +\d+% +4\n", done.stdout) or re.search(
        r"measured\.py +3 +0 +100%", done.stdout
    ), done.stdout
    assert "failed workers" not in done.stdout


def test_reruns(run: Runner, tmp_path: Path) -> None:
    """pytest-rerunfailures runs tests again, and each of the attempts is reported in its place."""
    write(
        tmp_path,
        "test_reruns.py",
        """
        import pytest
        n = 0
        @pytest.mark.flaky(reruns=3)
        def test_third():
            global n
            n += 1
            assert n == 3
        @pytest.mark.flaky(reruns=1)
        def test_never(): assert 0
        """,
    )
    plugins = ["pytest_rerunfailures"]
    serial, parallel = (run(tmp_path, plugins, *mode) for mode in ([], ["--workpool=2"]))
    assert counts(serial) == {"failed": 1, "passed": 1, "rerun": 3}
    assert counts(parallel) == counts(serial), parallel.stdout


def test_random_order(run: Runner, tmp_path: Path) -> None:
    """pytest-randomly has one seed in all workers, the one that it names."""
    write(
        tmp_path,
        "test_random.py",
        """
        import random, pytest
        @pytest.mark.parametrize("n", range(8))
        def test_it(n, request):
            print("drawn", request.config.getoption("randomly_seed"), n, random.random())
        """,
    )

    def drawn(*arguments: str) -> tuple[str, set[str]]:
        done = run(tmp_path, ["randomly"], "-rP", *arguments)
        assert counts(done) == {"passed": 8}, done.stdout
        [seed] = re.findall(r"--randomly-seed=(\d+)", done.stdout)
        return seed, {line for line in done.stdout.splitlines() if line.startswith("drawn")}

    seed, values = drawn("--workpool=2")
    assert len(values) == 8
    assert all(line.split()[1] == seed for line in values)
    assert drawn(f"--randomly-seed={seed}") == (seed, values)


def test_databases(run: Runner, tmp_path: Path) -> None:
    """With pytest-django each worker has a database of its own, by its name."""
    write(
        tmp_path,
        "settings.py",
        """
        SECRET_KEY = "x"
        DATABASES = {
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": "db.sqlite3",
                "TEST": {"NAME": "test.sqlite3"},
            }
        }
        """,
    )
    write(
        tmp_path,
        "test_db.py",
        """
        import pytest
        from django.db import connection
        @pytest.mark.django_db
        @pytest.mark.parametrize("n", range(4))
        def test_it(n, worker_id):
            with connection.cursor() as cursor:
                cursor.execute("create table mine (x)")
            assert str(connection.settings_dict["NAME"]).endswith(f"_{worker_id}")
        """,
    )
    plugins = ["pytest_django.plugin"]
    done = run(tmp_path, plugins, "--workpool=2", "--ds=settings", "-o", "pythonpath=.")
    assert counts(done) == {"passed": 4}, done.stdout


def test_parts_of_tests(run: Runner, tmp_path: Path) -> None:
    """pytest's own subtests are counted and named as in a serial run."""
    write(
        tmp_path,
        "test_parts.py",
        """
        import unittest
        def test_parts(subtests):
            for i in range(3):
                with subtests.test("one of", i=i, text="x"): assert i != 1
        class TestUnit(unittest.TestCase):
            def test_parts(self):
                for i in range(3):
                    with self.subTest(i=i): assert i != 2
        """,
    )
    serial, parallel = (run(tmp_path, [], "--tb=no", *mode) for mode in ([], ["--workpool=2"]))

    def summary(done: Done) -> list[str]:
        return sorted(line for line in done.stdout.splitlines() if "FAILED" in line)

    assert counts(parallel) == counts(serial), parallel.stdout
    assert summary(parallel) == summary(serial)
    assert len(summary(serial)) >= 3
