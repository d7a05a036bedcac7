"""Workers are forks of pytest's own process where that is safe: nothing of it shows in them, and elsewhere they start too."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.pytest_plugin.acceptance.inner import SECONDS, Inner

PARENTS = """
    import os, time, pytest
    from noting import note, wait_for
    def parent(pid):
        with open(f"/proc/{pid}/stat") as stat:
            return int(stat.read().rpartition(")")[2].split()[1])
    @pytest.mark.parametrize("n", range(2))
    def test_parents(n):
        note("begun")
        wait_for("begun", count=2)
        template = os.getppid()
        with open(f"/proc/{template}/cmdline") as command:
            note("template", template, parent(template), "_worker/__main__.py" in command.read())
    """


@pytest.fixture
def suite(inner: Inner) -> Inner:
    """Return a suite whose tests note who has made their process."""
    inner.write("test_parents.py", PARENTS)
    return inner


def run(inner: Inner, command: list[str]) -> None:
    """Run a command in the suite's folder, in a new process; it must succeed."""
    inner.notes_file.write_text("")
    path = os.pathsep.join([str(inner.path), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path}
    subprocess.run(command, cwd=inner.path, env=environment, timeout=SECONDS, check=True)


def templates(inner: Inner) -> set[tuple[str, ...]]:
    return {note.words[1:] for note in inner.notes() if note.words[0] == "template"}


def test_workers_are_forks_of_the_command(suite: Inner) -> None:
    """Of one template, which is a fork of pytest's process; so what that has imported they need not."""
    run(suite, suite.command("--workpool=2", "--workpool-scope=test"))
    [(_, _, is_program)] = templates(suite)
    assert is_program == "False"


@pytest.mark.parametrize(
    "before",
    [
        "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()",
        "import sys; sys.setprofile(lambda *_: None)",
        "held = open('held', 'w')",
    ],
    ids=["thread", "profile", "file"],
)
def test_a_process_that_must_not_be_forked(suite: Inner, before: str) -> None:
    """A plugin's thread, a file it has open, a tracer: workers come from an interpreter of their own then."""
    suite.write("eager.py", before + "\n")
    run(suite, suite.command("-p", "eager", "--workpool=2", "--workpool-scope=test"))
    assert {is_program for _, _, is_program in templates(suite)} == {"True"}


def test_a_program_that_calls_pytest(suite: Inner) -> None:
    """What it is, pytest cannot know: it is not forked."""
    program = "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"
    arguments = [*suite.options(), "--workpool=2", "--workpool-scope=test"]
    run(suite, [sys.executable, "-c", program, *arguments])
    assert {is_program for _, _, is_program in templates(suite)} == {"True"}


def test_each_worker_imports_the_plugins_that_were_named(inner: Inner) -> None:
    """They see, when they are imported, which worker they are in, and their asserts are rewritten."""
    inner.write(
        "named.py",
        """
        import os
        from noting import note
        note("imported", os.environ.get("PYTEST_XDIST_WORKER", "none"))
        def check(n): assert n == 1, "with words"
        """,
    )
    inner.write("test_some.py", "import named\ndef test_some(): named.check(2)\n")
    named = inner.workpool("-p", "named")
    assert {note.words[1] for note in named.notes} >= {"none", "gw0"}
    assert named.noted("imported", "none") == 1
    assert "assert 2 == 1" in named.text
    assert "PytestAssertRewriteWarning" not in named.text


def test_the_collector_knows_all_objects(inner: Inner) -> None:
    """Also those that a worker has from the process it is a fork of, and who refers to them."""
    inner.write(
        "test_objects.py",
        """
        import gc, logging, pytest
        def test_referrers(): assert vars(logging) in gc.get_referrers(logging.root)
        def test_objects(): assert any(found is logging.root for found in gc.get_objects())
        """,
    )
    for names in (["-k", "referrers"], ["-k", "objects"], []):
        run(inner, inner.command("--workpool=1", *names))
