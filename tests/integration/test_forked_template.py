"""A template that is a fork of the program: workers find what that had imported, and nothing holds them up.

The forked program is one of its own: what runs these tests must not be copied.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from typing import Any

import pytest

from tests.children import is_alive
from workpool import WorkerPool, fork_template

SECONDS = 25


def run(function: str, says: str = "") -> str:
    """Run a function of `forked_template_children` as a program; return what it prints.

    On its standard error it says nothing, or something with `says` in it.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        _command(function), capture_output=True, text=True, timeout=SECONDS, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert says in done.stderr if says else done.stderr == ""
    return done.stdout


def seen_by(function: str) -> Any:
    return json.loads(run(function).splitlines()[-1])


def _command(function: str) -> list[str]:
    call_it = f"from tests import forked_template_children; forked_template_children.{function}()"
    return [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}; {call_it}"]


def test_workers_are_forks_of_the_program_as_it_was() -> None:
    """With what it had imported and set by then; all they need is theirs, and a replacement is another."""
    first_line, last_line = run("show_likeness").splitlines()
    assert first_line == "once", "what was in the program's buffer is written by the program alone"
    seen = json.loads(last_line)
    looks = [*seen["looks"], *seen["later"]]
    assert len({look["pid"] for look in looks} | {seen["me"]}) == 4
    [template] = {look["parent"] for look in looks}
    assert template != seen["me"]
    assert not is_alive(template)
    assert {look["mark"] for look in looks} == {"as it was forked"}
    assert all(look["imported"] for look in looks), "what it was to import, it has"
    assert {look["input"] for look in looks} == {""}
    assert len({look["random"] for look in looks}) == 3


def test_a_worker_ends_as_an_interpreter_does() -> None:
    """Its threads are waited for, its exit handlers run; what the program does next it does not do."""
    assert run("show_ends").splitlines() == ["the thread", "the handler", "the program"]


def test_a_program_that_cannot_be_forked() -> None:
    """One with threads, or that is traced, is told so."""
    with_threads, traced = seen_by("show_unfit")["said"]
    assert "it has 1 thread(s) of Python" in with_threads
    assert "traced" in traced


def test_a_pool_that_it_does_not_suit_has_a_template_of_its_own() -> None:
    """One whose workers are to have other variables."""
    assert seen_by("show_unsuited") == {"same": False, "left": False}


def test_a_second_pool_is_told_that_it_has_one() -> None:
    """Its tasks fail, one as the other, with words that say what to do; the first is not concerned."""
    seen = json.loads(run("show_two_pools", "given to two pools").splitlines()[-1])
    assert [seen["first"], seen["first_later"]] == [True, True]
    assert [text[:14] for text in seen["second"]] == ["RuntimeError: "] * 2
    assert all("once for each pool" in text for text in seen["second"])


def test_one_that_is_not_needed_ends() -> None:
    """It is closed, or its pool is, without ever having made a worker."""
    assert seen_by("show_unused")["left"] == []


def test_all_end_with_the_program() -> None:
    """Killed, it takes a template that waits for a pool with it, one that has one, and its workers."""
    with subprocess.Popen(
        _command("be_killed"), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        pids = json.loads(program.stdout.readline())["pids"]
        watched = [os.pidfd_open(pid) for pid in pids]
        program.stdin.close()
        program.wait()
        for descriptor in watched:
            assert select.select([descriptor], [], [], 1.0)[0]
            os.close(descriptor)


def test_what_program_and_workers_do_is_not_mixed_up() -> None:
    """Files that the template opens stay its own; a worker's end does nothing that the program wants done at its."""
    seen = json.loads(run("show_own_things", "was given cannot be used").splitlines()[0])
    assert seen == {"kept": True, "alive": True}


def test_signals_of_workers_are_not_the_programs() -> None:
    """Its event loop, which it had when it was forked, does not hear of them."""
    assert seen_by("show_signals") == {"same": True, "got": []}


def test_imports_are_names_of_modules() -> None:
    """A name that is not in a list, and what is none, are refused."""
    for wrong in ("json", [json]):
        with pytest.raises(TypeError, match="list of the names of modules"):
            fork_template(wrong)  # type: ignore[arg-type]


def test_another_thing_is_no_start_method() -> None:
    """What is neither a method's name nor a template is refused at once."""
    with pytest.raises(ValueError, match=r"or what fork_template\(\) returns, not 3"):
        WorkerPool(print, start_method=3)  # type: ignore[call-overload]
