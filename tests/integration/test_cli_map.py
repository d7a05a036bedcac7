"""The real program: `workpool map` in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

SECONDS = 20.0
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
TASKS = """\
import os, signal, sys, time
from dataclasses import dataclass

@dataclass
class Size:
    text: str
    size: int

def upper(text):
    return text.upper()

def size(text):
    return Size(text, len(text))

async def later(text):
    return "later " + text

def count(value):
    return len(value)

def chatty(text):
    print("printed", text, flush=True)
    os.system("echo from a program")
    return text

def read_input(text):
    return sys.stdin.read() if sys.stdin else ""

def number(text):
    return int(text)

def as_bytes(text):
    return text.encode() if text == "b" else text

def crash(text):
    if text == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    return text

def hang(text):
    while text == "hang":
        time.sleep(0.01)
    return text

def second_time(path):
    if not os.path.exists(path):
        open(path, "w").close()
        raise ValueError("the first time")
    return "done"

def broken_start(text):
    return text

def refuse(client):
    raise RuntimeError("no licence")

broken_start.on_worker_start = refuse
constant = 3
"""

SHAPES = """\
from dataclasses import dataclass

@dataclass
class Size:
    text: str
    size: int

class RefusedError(Exception):
    pass

def size(text):
    return Size(text, len(text))

def refuse(text):
    raise RefusedError("no " + text)
"""

Map = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def run_map(tmp_path: Path) -> Map:
    """Return a function that runs `workpool map` in a folder that has some modules."""
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "shapes.py").write_text(SHAPES)
    (tmp_path / "broken.py").write_text("import no_such_module_at_all\n")

    def run(*arguments: str | bytes, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "workpool", "map", *arguments],
            input=stdin,
            capture_output=True,
            cwd=tmp_path,
            env=ENVIRONMENT,
            timeout=SECONDS,
        )

    return run


def results(finished: subprocess.CompletedProcess[bytes]) -> list[object]:
    return [json.loads(line) for line in finished.stdout.splitlines()]


def test_each_argument_is_an_input(run_map: Map) -> None:
    """One line per argument, in order, and nothing on standard error."""
    finished = run_map("tasks:upper", "a", "b", "", "d")
    assert finished.stdout == b'"A"\n"B"\n""\n"D"\n'
    assert finished.stderr == b""
    assert finished.returncode == 0


@pytest.mark.parametrize("spec", ["tasks:upper", "tasks.py:upper", "./tasks.py:upper"])
def test_lines_of_standard_input_are_inputs(run_map: Map, spec: str) -> None:
    """Without arguments; the last line needs no newline; a path and a module name both work."""
    finished = run_map(spec, stdin=b"a\n\nb")
    assert results(finished) == ["A", "", "B"]
    assert finished.returncode == 0


def test_no_input_is_no_output(run_map: Map) -> None:
    """An empty stream is a success."""
    finished = run_map("tasks:upper")
    assert (finished.stdout, finished.stderr, finished.returncode) == (b"", b"", 0)


def test_inputs_from_a_file(run_map: Map, tmp_path: Path) -> None:
    """`--input` reads a file as if it were standard input."""
    (tmp_path / "inputs.txt").write_text("a\nb\n")
    assert results(run_map("tasks:upper", "--input", "inputs.txt")) == ["A", "B"]


def test_nul_separated_inputs(run_map: Map) -> None:
    """A newline is a character like others then."""
    assert results(run_map("--null", "tasks:upper", stdin=b"a\nb\0c\0")) == ["A\nB", "C"]


def test_json_inputs(run_map: Map) -> None:
    """The function gets the value, from lines and from arguments alike."""
    assert results(run_map("--json", "tasks:count", stdin=b'[1, 2]\n\n{"a": 1}\n')) == [2, 1]
    assert results(run_map("--json", "tasks:count", "[1, 2]", '"abc"')) == [2, 3]


def test_bytes_that_are_not_utf8_reach_the_function(run_map: Map) -> None:
    """File names of any kind pass, as arguments and as lines."""
    line = b'"CAF\\udce9"\n'
    assert run_map("tasks:upper", b"caf\xe9").stdout == line
    assert run_map("tasks:upper", stdin=b"caf\xe9\n").stdout == line


def test_an_async_function(run_map: Map) -> None:
    """Every form of entrypoint that a string can name works."""
    assert results(run_map("tasks:later", "a", "b")) == ["later a", "later b"]


@pytest.mark.parametrize("spec", ["tasks:size", "tasks.py:size", "jobs/shapes.py:size"])
def test_a_result_of_a_class_of_the_users_module(run_map: Map, spec: str) -> None:
    """A dataclass becomes an object, wherever the module is."""
    assert results(run_map(spec, "abc")) == [{"text": "abc", "size": 3}]


def test_an_error_of_a_class_of_the_users_file(run_map: Map) -> None:
    """The record names the class that was raised."""
    [record] = results(run_map("--keep-going", "jobs/shapes.py:refuse", "abc"))
    assert record == {"error": {"type": "RefusedError", "message": "no abc"}, "input": "abc"}


def test_a_very_long_line(run_map: Map) -> None:
    """Megabytes in one line go in and come out."""
    assert results(run_map("tasks:count", stdin=b"x" * 5_000_000)) == [5_000_000]
    long = run_map("tasks:upper", stdin=b"x" * 5_000_000)
    assert long.stdout == b'"' + b"X" * 5_000_000 + b'"\n'


def test_many_lines_keep_their_order_in_few_and_many_workers(run_map: Map) -> None:
    """More lines than the buffer holds, each once, in order."""
    numbers = list(range(10_000))
    stdin = "".join(f"{number}\n" for number in numbers).encode()
    for jobs in ("1", "3"):
        assert results(run_map("-j", jobs, "tasks:number", stdin=stdin)) == numbers
    assert sorted(map(int, run_map("--unordered", "tasks:number", stdin=stdin).stdout.split())) == (
        numbers
    )


def test_what_tasks_print_goes_to_standard_error(run_map: Map) -> None:
    """Standard output has the results alone, also when a task starts a program."""
    finished = run_map("tasks:chatty", "a")
    assert finished.stdout == b'"a"\n'
    assert b"printed a\n" in finished.stderr
    assert b"from a program\n" in finished.stderr


def test_tasks_do_not_eat_the_inputs(run_map: Map) -> None:
    """Standard input belongs to the program; in a task it is empty."""
    assert results(run_map("tasks:read_input", stdin=b"a\nb\nc\n")) == ["", "", ""]


def test_the_first_failure_ends_the_job(run_map: Map) -> None:
    """What came before it is written; the error names the input and shows the task's frames."""
    finished = run_map("tasks:number", "1", "2", "x", "4")
    error = finished.stderr.decode()
    assert results(finished) == [1, 2]
    assert error.startswith("workpool: argument 3 ('x') failed: ValueError: invalid literal")
    assert "in number" in error
    assert f"{os.sep}workpool{os.sep}" not in error
    assert finished.returncode == 1


def test_a_failed_input_has_an_error_record_in_its_place(run_map: Map) -> None:
    """With `--keep-going` line n belongs to input n, and the exit status tells of failures."""
    finished = run_map("--keep-going", "tasks:number", stdin=b"1\nx\n3\n")
    first, failed, last = results(finished)
    assert (first, last) == (1, 3)
    assert failed == {
        "error": {
            "type": "ValueError",
            "message": "invalid literal for int() with base 10: 'x'",
        },
        "input": "x",
    }
    assert finished.stderr.startswith(b"workpool: 1 of 3 inputs failed")
    assert finished.returncode == 1


def kinds(finished: subprocess.CompletedProcess[bytes]) -> list[object]:
    """Return results, and for error records the type."""
    return [r["error"]["type"] if isinstance(r, dict) else r for r in results(finished)]


def test_every_kind_of_failure_is_one_inputs_failure(run_map: Map) -> None:
    """A crash, a timeout, a result that is not JSON: the other inputs are not concerned."""
    crashed = run_map("--keep-going", "tasks:crash", "a", "crash", "b")
    assert kinds(crashed) == ["a", "WorkerCrashed", "b"]
    timed_out = run_map("--keep-going", "--timeout", "0.2", "tasks:hang", "a", "hang", "b")
    assert kinds(timed_out) == ["a", "TaskTimeout", "b"]
    not_json = run_map("--keep-going", "tasks:as_bytes", "a", "b", "c")
    assert kinds(not_json) == ["a", "ResultNotJSONError", "c"]


def test_a_line_that_is_not_json_is_named(run_map: Map) -> None:
    """By its number, which an editor knows, too."""
    finished = run_map("--json", "tasks:count", stdin=b"[]\n\n{\n[1]\n")
    assert results(finished) == [0]
    assert finished.stderr.startswith(b"workpool: line 3 is not JSON: ")
    assert finished.returncode == 1


def test_a_failed_task_is_tried_again(run_map: Map, tmp_path: Path) -> None:
    """As often as `--retries` says."""
    finished = run_map("--retries", "1", "tasks:second_time", str(tmp_path / "mark"))
    assert results(finished) == ["done"]
    assert finished.returncode == 0


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ("no_such_module:f", "no_such_module"),
        ("tasks:no_such_symbol", "no_such_symbol"),
        ("tasks.py:no_such_symbol", "no_such_symbol"),
        ("tasks:constant", "constant"),
    ],
)
def test_an_unusable_function_is_a_wrong_command(run_map: Map, spec: str, named: str) -> None:
    """One sentence with the name in question; exit status 2, also with `--keep-going`."""
    for options in ([], ["--keep-going"]):
        finished = run_map(*options, spec, "a", "b")
        error = finished.stderr.decode()
        assert finished.stdout == b""
        assert error.startswith("workpool: ")
        assert error.count("\n") == 1
        assert named in error
        assert finished.returncode == 2


def test_a_module_that_cannot_be_imported_shows_where(run_map: Map) -> None:
    """The sentence is followed by the user's frames, and by none of anybody else."""
    finished = run_map("broken:f", "a")
    first, *evidence = finished.stderr.decode().splitlines()
    assert first.startswith("workpool: ")
    assert "no_such_module_at_all" in first
    frames = [line for line in evidence if line.lstrip().startswith("File ")]
    assert len(frames) == 1
    assert "broken.py" in frames[0]
    assert finished.returncode == 2


def test_a_start_hook_that_raises_ends_the_job(run_map: Map) -> None:
    """With its reason, and no record for every input."""
    finished = run_map("--keep-going", "tasks:broken_start", "a", "b")
    assert finished.stdout == b""
    assert b"no licence" in finished.stderr
    assert finished.returncode == 1


def test_a_full_disk_is_told(run_map: Map, tmp_path: Path) -> None:
    """Results that cannot be written are not lost silently."""
    program = [sys.executable, "-m", "workpool", "map", "tasks:upper", "a"]
    with Path("/dev/full").open("wb") as full:
        finished = subprocess.run(
            program, stdout=full, stderr=subprocess.PIPE, cwd=tmp_path, env=ENVIRONMENT,
            timeout=SECONDS,
        )  # fmt: skip
    message = b"workpool: cannot write to standard output: No space left on device\n"
    assert finished.stderr == message
    assert finished.returncode == 1
