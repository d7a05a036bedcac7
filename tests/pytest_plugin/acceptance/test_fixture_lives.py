"""Fixtures live as long as they should, whichever worker has the tests."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.pytest_plugin.acceptance.inner import Inner, Run, assert_same

LIVES = """
    import pytest
    from noting import note

    def living(name, scope, **options):
        @pytest.fixture(scope=scope, name=name, **options)
        def fixture(request):
            mark = f"{name}@{request.node.nodeid.replace(' ', '')}#{getattr(request, 'param', '')}"
            note("up", mark)
            yield mark
            note("down", mark)
        return fixture
"""

CONFTEST = """
    from lives import living
    from noting import note
    from workpool import Task
    whole = living("whole", "session")
    def pytest_runtest_call(item): note("run", item.nodeid.replace(" ", ""))

    withdraw = Task.withdraw
    async def noting_withdraw(task):
        is_withdrawn = await withdraw(task)
        if is_withdrawn and isinstance(task.argument, str):
            note("moved", task.argument.partition(chr(0))[0].replace(" ", ""))
        return is_withdrawn
    Task.withdraw = noting_withdraw
"""
PACKAGE = """
    from lives import living
    package = living("package", "package")
"""
MODULE = """
    import pytest
    from lives import living
    from noting import note

    module = living("module", "module")
    varied = living("varied", "module", params=["a", "b"])
    shared = living("shared", "class")
    single = living("single", "function")

    def setup_module(module): note("up", "xunit")
    def teardown_module(module): note("down", "xunit")

    @pytest.mark.parametrize("n", range(4))
    def test_plain(whole, package, module, single, n): pass
    def test_varied(whole, varied, single): pass
    def test_varied_again(whole, varied): pass

    class TestClass:
        @pytest.mark.parametrize("n", range(3))
        def test_in_class(self, whole, module, shared, single, n): pass
        def test_varied_in_class(self, varied, shared): pass
"""
MODULES = ("pkg/test_a.py", "pkg/test_b.py", "pkg/test_c.py", "pkg/sub/test_d.py")


@pytest.fixture
def lives(inner: Inner) -> Inner:
    """Return a suite whose fixtures note their set-up and tear-down."""
    inner.write("lives.py", LIVES)
    inner.write("conftest.py", CONFTEST)
    for name in ("pkg/__init__.py", "pkg/sub/__init__.py"):
        inner.write(name, "")
    inner.write("pkg/conftest.py", PACKAGE)
    for name in MODULES:
        inner.write(name, MODULE)
    return inner


def check_lives(run: Run) -> None:
    """What is set up is torn down in its process, once, and the wider scope outlives the narrower.

    Within a module the order may be another than serially: a worker that comes in half-way sets up
    a parametrized fixture of the module after one of a class.
    """
    for events in run.by_process().values():
        alive: list[str] = []
        for what, name, *_ in events:
            if what == "up":
                assert name not in alive, events
                alive.append(name)
            elif what == "down":
                alive.remove(name)
                scopes = [one.partition("@")[0] for one in alive]
                assert name != "whole@#" or scopes == [], events
                assert not name.startswith("package") or set(scopes) <= {"whole", "package"}, events
        assert alive == [], events


def check_neighbours(run: Run, serial: Run) -> None:
    """Nothing is set up anew between tests of a module that one worker runs one after the other.

    However late the controller is: that is what a worker is told of its next test for. What was moved to it
    when it had nothing to do, and had torn down, is another matter.
    """
    moved = {note.words[1] for note in run.notes if note.words[0] == "moved"}
    order = [note.words[1] for note in serial.notes if note.words[0] == "run"]
    following = dict(pairwise(order))
    for events in run.by_process().values():
        last, downs = "", set[str]()
        for what, name, *_ in events:
            if what == "run":
                last, downs = name, set()
            elif what == "down":
                downs.add(name)
            elif name in downs:
                after = next_run(events, last)
                if after in moved:
                    continue
                assert following.get(last) != after or module_of(last) != module_of(after), events


def next_run(events: list[tuple[str, ...]], test: str) -> str:
    """Return the test that a process ran after another one; empty if there is none."""
    runs = [event[1] for event in events if event[0] == "run"]
    return dict(pairwise(runs)).get(test, "")


def module_of(nodeid: str) -> str:
    """Return the module in a nodeid."""
    return nodeid.partition("::")[0]


def visits(run: Run, serial: Run) -> int:
    """Return how often a worker came to a module: from another one, or not to the test after its last."""
    order = [note.words[1] for note in serial.notes if note.words[0] == "run"]
    neighbours = {pair for pair in pairwise(order) if module_of(pair[0]) == module_of(pair[1])}
    runs = [
        [name for what, name, *_ in events if what == "run"] for events in run.by_process().values()
    ]
    return sum(pair not in neighbours for ran in runs for pair in pairwise(["", *ran]))


def ups(run: Run, fixture: str) -> int:
    """Return how often a fixture was set up, in all places."""
    return sum(note.words[0] == "up" and note.words[1].startswith(fixture) for note in run.notes)


def test_set_up_and_tear_down_are_paired(lives: Inner) -> None:
    """In each worker fixtures nest as in a serial run; those of functions are as many as serially."""
    serial, parallel = assert_same(lives, "-p", "no:cacheprovider")
    for run in (serial, parallel):
        check_lives(run)
    check_neighbours(parallel, serial)
    assert len({note.pid for note in parallel.notes if note.words[0] == "run"}) <= 2
    assert ups(parallel, "single@") == ups(serial, "single@")


def test_scopes_that_are_kept_together(lives: Inner) -> None:
    """What the scope asked for keeps in one worker is set up there only; modules as often as serially."""
    serial = lives.serial("-p", "no:cacheprovider")
    by_class = lives.workpool("-p", "no:cacheprovider", "--workpool-scope=class")
    by_module = lives.workpool("-p", "no:cacheprovider", "--workpool-scope=module")
    assert by_class.verdicts == by_module.verdicts == serial.verdicts
    for run in (by_class, by_module):
        check_lives(run)
        check_neighbours(run, serial)
        classes = {note for note in run.notes if note.words[1].startswith("shared@")}
        assert len({note.words[1] for note in classes}) == len(MODULES)
        assert len({(note.pid, note.words[1]) for note in classes}) == len(MODULES)
    for fixture in ("module@", "varied@", "xunit"):
        assert ups(by_module, fixture) == ups(serial, fixture), fixture


@pytest.mark.parametrize("options", [(), ("--maxfail=250",)])
def test_modules_stay_together_by_default(inner: Inner, options: tuple[str, ...]) -> None:
    """A module is set up when a worker comes to it, and workers stay with one."""
    inner.write("lives.py", LIVES)
    inner.write("conftest.py", CONFTEST)
    for letter in "abcdefgh":
        inner.write(
            f"test_{letter}.py",
            """
            import pytest
            from lives import living
            module = living("module", "module")
            @pytest.mark.parametrize("n", range(10))
            def test_it(whole, module, n): pass
            """,
        )
    serial, parallel = assert_same(inner, *options)
    check_lives(parallel)
    check_neighbours(parallel, serial)
    assert ups(parallel, "module@") <= visits(parallel, serial) < 40


def test_modules_that_are_moved(inner: Inner) -> None:
    """While a worker is stuck the other one runs its modules too, each as a whole, and so sets each up once."""
    inner.write("lives.py", LIVES)
    inner.write("conftest.py", CONFTEST)
    inner.write(
        "test_a.py",
        """
        from noting import wait_for
        def test_stuck(): wait_for("ran", "it", count=80)
        """,
    )
    for letter in "bcdefghi":
        inner.write(
            f"test_{letter}.py",
            """
            import pytest
            from lives import living
            from noting import note
            module = living("module", "module")
            @pytest.mark.parametrize("n", range(10))
            def test_it(whole, module, n): note("ran", "it")
            """,
        )
    run = inner.workpool()
    check_lives(run)
    assert run.counts == {"passed": 81}, run.text
    # One may have been split, when the stuck test had only begun.
    assert 8 <= ups(run, "module@") <= 9


def test_a_controller_that_is_slow(inner: Inner) -> None:
    """A module's fixture stays up although the controller sends nothing until its neighbours have been torn down."""
    inner.write(
        "conftest.py",
        """
        from noting import wait_for
        def pytest_runtest_logreport(report):
            if not hasattr(report, "worker_id"): return
            if report.when == "call" and "[0]" in report.nodeid: wait_for("down", "single1")
        """,
    )
    inner.write(
        "test_slow.py",
        """
        import pytest
        from noting import note
        @pytest.fixture(scope="module")
        def module():
            note("up", "module")
            yield
            note("down", "module")
        @pytest.fixture
        def single(n):
            yield
            note("down", f"single{n}")
        @pytest.mark.parametrize("n", range(6))
        def test_it(module, single, n): pass
        """,
    )
    run = inner.workpool("--nf", workers=1)  # in their order: two tests ahead at most
    assert run.counts == {"passed": 6}, run.text
    assert (run.noted("up", "module"), run.noted("down", "module")) == (1, 1), run.notes


def test_tear_down_before_a_wait(inner: Inner) -> None:
    """A worker without a next test tears down its fixtures at once, not at the end of the run."""
    inner.write(
        "test_end.py",
        """
        import pytest
        from noting import note, wait_for
        @pytest.fixture(scope="module")
        def module():
            yield
            note("down")
        def test_quick(module): wait_for("begun")
        def test_waits_for_the_end_of_the_other():
            note("begun")
            wait_for("down")
        """,
    )
    run = inner.workpool("--workpool-scope=test")
    assert run.counts == {"passed": 2}, run.text
