"""The plugin's own options: inactive unless asked, and what is wrong is said at once."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.pytest_plugin.acceptance.inner import Inner

ROOT = Path(__file__).parents[3]


@pytest.fixture
def suite(inner: Inner) -> Inner:
    """Return a suite whose tests note the process they run in."""
    inner.write(
        "test_some.py",
        """
        import os, pytest
        from noting import note
        @pytest.mark.parametrize("n", range(4))
        def test_some(n): note("worker", os.environ.get("PYTEST_XDIST_WORKER", "none"))
        """,
    )
    return inner


def test_inactive_unless_asked(suite: Inner) -> None:
    """Without the option, and with `no`, tests run in pytest's own process."""
    for arguments in ([], ["--workpool=no"]):
        run = suite.serial(*arguments)
        assert run.noted("worker", "none") == 4
        assert len(run.by_process()) == 1
        assert "\nworkpool: " not in run.text


def test_the_entry_point() -> None:
    """pytest finds the plugin by itself where the package is installed, and it can be switched off."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"workpool": "workpool.pytest_plugin"}
    assert any("pytest" in each for each in project["optional-dependencies"]["pytest"])


@pytest.mark.parametrize("wanted", ["0", "-1", "two", "1.5", "1_0", "1001", ""])
def test_a_wrong_number_of_workers(suite: Inner, wanted: str) -> None:
    """Anything but a sensible count or `auto` is a usage error that names the option."""
    run = suite.workpool(workers=wanted)
    assert run.status == pytest.ExitCode.USAGE_ERROR
    assert "--workpool" in run.text
    assert "Traceback" not in run.text
    assert run.notes == []


def test_two_ways_to_ask_for_workers(suite: Inner) -> None:
    """Both at once are a usage error, even if they agree; so are wrong numbers given to the other one."""
    for arguments in (["-n", "2", "--workpool=2"], ["--workpool=auto", "-n0"]):
        both = suite.run(*arguments)
        assert both.status == pytest.ExitCode.USAGE_ERROR
        assert "use one of them" in both.text
        assert both.notes == []
    for wrong in ("-1", "many", "0.5"):
        assert suite.run(f"-n{wrong}").status == pytest.ExitCode.USAGE_ERROR


def test_other_wrong_options(suite: Inner) -> None:
    """So are unknown scopes, time limits that are none, and wrong values in the ini-file."""
    for option in ("--workpool-scope=file", "--workpool-timeout=0", "--workpool-timeout=soon"):
        run = suite.workpool(option)
        assert run.status == pytest.ExitCode.USAGE_ERROR, option
        assert option.partition("=")[0] in run.text
    suite.write("pytest.ini", "[pytest]\nworkpool = many\n")
    wrong = suite.serial()
    assert wrong.status == pytest.ExitCode.USAGE_ERROR
    assert "many" in wrong.text


def test_options_that_need_workers(suite: Inner) -> None:
    """Given where nobody speaks of workers they are a usage error; else a run without workers says that they are idle."""
    for options in (["--workpool-timeout=5"], ["--workpool-slow=1", "--workpool-timeout=5"]):
        refused = suite.serial(*options)
        assert refused.status == pytest.ExitCode.USAGE_ERROR
        assert "add --workpool=auto" in refused.text
        assert all(option.partition("=")[0] in refused.text for option in options)
    assert suite.serial("--workpool-retries=1").status == 0, "that one does not need any"
    idle = "workpool: --workpool-timeout and --workpool-slow: of no effect"
    for options in (["--workpool=no"], ["--workpool=2", "--pdb"]):
        run = suite.serial(*options, "--workpool-timeout=5", "--workpool-slow=1")
        assert (run.status, idle in run.text) == (0, True), run.text
    assert idle not in suite.workpool("--workpool-timeout=5", "--workpool-slow=1").text
    suite.write("pytest.ini", "[pytest]\nworkpool_timeout = 5\n")
    configured = suite.serial()
    assert configured.status == 0
    assert "workpool: --workpool-timeout: of no effect" in configured.text


def test_the_configuration_file(suite: Inner) -> None:
    """What the ini-file asks for holds; the command line overrides it."""
    suite.write("pytest.ini", "[pytest]\nworkpool = 2\nworkpool_scope = module\n")
    run = suite.serial()
    assert run.status == 0
    assert run.noted("worker", "none") == 0
    assert len(run.by_process()) == 1, "a module that is not split runs in one worker"
    overridden = suite.workpool(workers="no")
    assert overridden.noted("worker", "none") == 4


def test_numbers_in_a_configuration_file(suite: Inner) -> None:
    """TOML's numbers are as good as their texts; what else is wrong names its setting."""
    (suite.path / "pytest.ini").unlink()
    suite.write(
        "pyproject.toml",
        "[tool.pytest]\nworkpool = 2\nworkpool_timeout = 50.5\nworkpool_retries = 1\n",
    )
    run = suite.serial()
    assert (run.status, run.noted("worker", "none")) == (0, 0)
    suite.write("pyproject.toml", "[tool.pytest]\nworkpool = [2]\n")
    assert "'workpool' expects" in suite.serial().text


def test_auto(suite: Inner) -> None:
    """`auto` runs everything, on no more workers than there are tests."""
    suite.write("test_some.py", "from noting import note\ndef test_one(): note('ran')\n")
    run = suite.workpool(workers="auto")
    assert run.status == 0
    assert run.noted("ran") == 1


def test_what_hooks_say_of_the_collection(suite: Inner) -> None:
    """It is shown once, as in a serial run: that of pytest's own plugins and that of a conftest."""
    suite.write(
        "conftest.py",
        """
        def pytest_report_collectionfinish(config, start_path, items):
            return [f"in {start_path.name}", f"there are {len(items)}"]
        """,
    )
    suite.write("test_some.py", "def test_bad(): assert False\ndef test_good(): pass\n")
    suite.serial()
    said: list[list[str]] = []
    for run in (suite.serial("--lf"), suite.workpool("--lf")):
        words = ("in ", "there are 1", "run-last-failure: rerun previous 1 failure")
        said.append([line for line in run.lines if line.startswith(words)])
    assert said[0] == said[1]
    assert len(said[0]) == 3


def test_breakpoints(suite: Inner) -> None:
    """In a worker a breakpoint fails its test, which says what to do; a debugger that was chosen is used."""
    suite.write(
        "test_some.py",
        """
        import pdb, pytest
        def test_breakpoint(): breakpoint()  # here
        def test_pdb(): pdb.set_trace()
        def test_pytest(): pytest.set_trace()
        """,
    )
    run = suite.workpool()
    assert run.counts == {"failed": 3}
    assert "BdbQuit" not in run.text
    assert sum("--workpool=no" in line for line in run.lines if line.startswith("FAILED")) == 3
    assert any(line.startswith(">") and "# here" in line for line in run.lines)
    suite.write(
        "chosen.py",
        """
        class Debugger:
            def __init__(self, **_): pass
            def set_trace(self, frame): pass
        """,
    )
    assert suite.workpool("--pdbcls=chosen:Debugger").counts == {"passed": 3}


def test_debugging(suite: Inner) -> None:
    """With --pdb the tests run where the terminal is, and the run says so."""
    run = suite.workpool("--pdb")
    assert run.status == 0
    assert run.noted("worker", "none") == 4
    assert "--pdb" in run.text
