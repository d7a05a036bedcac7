"""What a run prints is what a serial run prints, in another order at most."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.pytest_plugin.acceptance.inner import Inner, Run

SUITE = {
    "test_a.py": """
        import logging, os, sys, warnings
        import pytest

        def test_prints_and_fails():
            print("to stdout")
            print("to stderr", file=sys.stderr)
            os.write(1, b"to descriptor 1\\n")
            logging.getLogger("inner").warning("to the log")
            left, right = {"a": 1, "b": [1, 2]}, {"a": 1, "b": [1, 3]}
            assert left == right, "they differ"
        def test_warns(): warnings.warn(UserWarning("first look out"))
        def test_warns_too(): warnings.warn("second look out", DeprecationWarning)
        @pytest.mark.parametrize("n", range(5))
        def test_passes(n): print("passed text", n)
        @pytest.mark.parametrize("v", ["[weird]", "sp ace", "\\u00e9"])
        def test_ids(v): pass
    """,
    "test_b.py": """
        import pytest

        class Refuses:
            def __repr__(self): raise ValueError("no repr")
        class MyWarning(UserWarning): pass

        def helper(x):
            y = x + 1
            raise LookupError(f"deep {y}")
        def test_deep(): helper(1)
        def test_no_repr(): assert Refuses() is None
        @pytest.fixture
        def broken(): raise RuntimeError("broken fixture")
        def test_error(broken): pass
        @pytest.mark.skip(reason="for a reason")
        def test_skipped(): pass
        @pytest.mark.xfail(reason="expected so")
        def test_xfailed(): assert 0
        def test_warns_locally():
            import warnings
            warnings.warn(MyWarning("local"))
    """,
}

# What differs from run to run, and lines that tell of workers alone.
MASKS = (
    (re.compile(r"\d+\.\d+s( \(\d+:\d+:\d+\))?"), "TIME"),
    (re.compile(r"0x[0-9a-f]+"), "ADDRESS"),
    (re.compile(r" *\[ *\d+%\]"), ""),
    (re.compile(r"^\[gw\d+\].* -- Python .*"), ""),
    (re.compile(r"^\[(gw|w)\d+\](?: \[ *\d+%\])? "), ""),
    (re.compile(r"generated xml file: .*"), "XML"),
    (re.compile(r"=+"), "="),
    (re.compile(r"^_+ (.*) _+$"), r"_ \1 _"),
)


@pytest.fixture
def suite(inner: Inner) -> Inner:
    """Return a suite of tests with much to say."""
    for name, text in SUITE.items():
        inner.write(name, text)
    inner.write("pytest.ini", "[pytest]\naddopts = -p no:cacheprovider\n")
    return inner


def masked(lines: list[str]) -> Counter[str]:
    """Return the lines without what differs anyway."""
    return Counter(filter(None, map(_masked, lines)))


def _masked(line: str) -> str:
    for pattern, word in MASKS:
        line = pattern.sub(word, line)
    return line.rstrip()


def after(run: Run, title: str) -> list[str]:
    """Return the lines from a section's title on."""
    numbers = [i for i, line in enumerate(run.lines) if re.fullmatch(f"=+ {title} =+", line)]
    assert len(numbers) == 1, f"{title}: {numbers}\n{run.text}"
    return run.lines[numbers[0] :]


REPORTS = {
    "-rA": ("ERRORS", "-rA"),
    "short": ("ERRORS", "--tb=short", "--showlocals", "-rxXs"),
    "line": (None, "--tb=line", "--show-capture=no"),
    "native": ("ERRORS", "--tb=native", "-qq", "--show-capture=stdout"),
}


@pytest.mark.parametrize("name", REPORTS)
def test_reports_of_failures(suite: Inner, name: str) -> None:
    """Tracebacks, captured output, warnings and the summary have the lines of a serial run."""
    title, *arguments = REPORTS[name]
    assert all(arguments)
    serial, parallel = (run(*map(str, arguments)) for run in (suite.serial, suite.workpool))
    if title is None:
        expected, found = ([x for x in run.lines if "Error" in x] for run in (serial, parallel))
    else:
        expected, found = after(serial, title), after(parallel, title)
    assert masked(found) == masked(expected)


def test_verbose_lines(suite: Inner) -> None:
    """With -v each test has one line, whole, with its id and outcome."""
    serial, parallel = suite.serial("-v", "--tb=no"), suite.workpool("-v", "--tb=no")
    verdicts = re.compile(r"(test_[ab]\.py::.*?) (PASSED|FAILED|ERROR|SKIPPED|XFAIL)\b")

    def told(run: Run) -> Counter[tuple[str, ...]]:
        # The lines of the summary begin with the word.
        found: Counter[tuple[str, ...]] = Counter()
        for line in run.lines:
            if match := verdicts.search(line):
                found[match.groups()] += 1
            # xdist's form, which people's scripts know: the outcome comes first.
            elif match := re.match(r"\[\S+\] +\[ *\d+%\] (\w+) (test_[ab]\.py::.*)", line):
                found[match[2].strip(), match[1]] += 1
        return found

    assert told(parallel) == told(serial)
    assert sum(told(serial).values()) == 17


def test_quiet_dots_and_counts(suite: Inner) -> None:
    """With -q the letters of all tests are there, and the last line has the same counts."""
    serial, parallel = suite.serial("-q", "--tb=no"), suite.workpool("-q", "--tb=no")

    def letters(run: Run) -> Counter[str]:
        rows = [line.split(" [")[0] for line in run.lines if re.match(r"[.FEsx]+( +\[|$)", line)]
        return Counter("".join(rows).strip())

    assert letters(parallel) == letters(serial)
    assert sum(letters(serial).values()) == 17
    assert parallel.counts == serial.counts
    assert masked(parallel.lines[-1:]) == masked(serial.lines[-1:])


def test_durations(inner: Inner) -> None:
    """The slowest phases are listed, of all workers."""
    inner.write(
        "test_slow.py",
        """
        import time, pytest
        @pytest.fixture
        def slow(): time.sleep(0.06)
        @pytest.mark.parametrize("n", range(3))
        def test_slow(slow, n): time.sleep(0.03)
        def test_fast(): pass
        """,
    )
    serial, parallel = (
        run("--durations=6", "--durations-min=0.02") for run in (inner.serial, inner.workpool)
    )
    phases = [
        Counter(
            tuple(line.split()[1:])
            for line in after(run, "slowest 6 durations")
            if re.match(r"\d+\.\d+s ", line)
        )
        for run in (serial, parallel)
    ]
    assert phases[0] == phases[1]
    assert phases[0].total() == 6


def test_what_is_only_listed(suite: Inner) -> None:
    """Collecting only and the plan of set-ups print what a serial run prints."""
    for arguments in (["--collect-only", "-q"], ["--setup-plan"]):
        serial, parallel = suite.serial(*arguments), suite.workpool(*arguments)
        assert masked(parallel.lines) == masked(serial.lines), arguments
        assert parallel.status == serial.status


def test_uncaptured_output(inner: Inner) -> None:
    """With -s what tests print is there once, in whole lines that name the worker."""
    inner.write(
        "test_prints.py",
        """
        import os, subprocess, sys
        import pytest
        @pytest.mark.parametrize("n", range(8))
        def test_prints(n):
            for i in range(20): print(f"text {n} {i} end")
            print(f"half {n}", end="", flush=True); print(" whole")
            os.write(2, f"raw {n} end\\n".encode())
            subprocess.run([sys.executable, "-c", f"print('child {n} end')"], check=True)
        """,
    )
    run = inner.workpool("-s")
    assert run.counts == {"passed": 8}
    lines = [*run.lines, *run.errors]
    expected = [f"text {n} {i} end" for n in range(8) for i in range(20)]
    expected += [f"{kind} {n} end" for n in range(8) for kind in ("raw", "child")]
    expected += [f"half {n} whole" for n in range(8)]
    for text in expected:
        found = [line for line in lines if text in line]
        assert len(found) == 1, (text, found)
        assert found[0].endswith(text)
        assert found[0].removesuffix(text).strip(" ."), f"no worker is named: {found[0]!r}"


@pytest.mark.parametrize("kind", ["-s", "log_cli"])
def test_output_is_live(inner: Inner, kind: str) -> None:
    """With -s, and with log_cli, text is shown while its test still runs."""
    inner.write(
        "test_live.py",
        """
        import logging
        from noting import note, wait_for
        def test_live():
            print("hello live", flush=True)
            logging.getLogger("inner").info("hello live")
            wait_for("seen")
        def test_other(): pass
        """,
    )
    options = ["-s"] if kind == "-s" else ["-o", "log_cli=true", "--log-cli-level=INFO"]
    with inner.begun(*options) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "hello live" in line:
                break
        with inner.notes_file.open("a") as notes:
            notes.write("0 seen\n")
        rest = process.stdout.read()
        assert process.wait() == 0, rest
    assert "2 passed" in rest
    assert "hello live" not in rest


@pytest.mark.parametrize("option", ["-s", "-q"])
def test_what_is_printed_when_sessions_begin(inner: Inner, option: str) -> None:
    """What a conftest prints then is there once, as in a serial run, and not once more for each worker."""
    inner.write(
        "conftest.py",
        """
        import sys
        def pytest_configure():
            print("in configure")
            print("in errors", file=sys.stderr)
        def pytest_sessionstart(): print("in sessionstart", end="")
        """,
    )
    inner.write("test_a.py", "def test_1(): print('in test')\ndef test_2(): pass\n")
    places = ("configure", "errors", "sessionstart", "test")
    for run in (inner.serial(option), inner.workpool(option)):
        assert run.counts == {"passed": 2}
        found = [run.text.count(f"in {place}") for place in places]
        assert found == [1, 1, 1, int(option == "-s")]
        assert "\0" not in run.text


def test_what_is_printed_by_a_session_that_does_not_begin(inner: Inner) -> None:
    """What a worker has printed by then is shown."""
    inner.write(
        "conftest.py",
        """
        def pytest_sessionstart(session):
            if hasattr(session.config, "workerinput"):
                print("look here")
                raise LookupError("in a worker only")
        """,
    )
    inner.write("test_a.py", "def test_1(): pass\n")
    run = inner.workpool()
    assert "look here" in run.text
    assert "in a worker only" in run.text
