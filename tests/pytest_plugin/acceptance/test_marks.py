"""Marks that say which tests stay together and which run alone."""

from __future__ import annotations

import pytest

from tests.pytest_plugin.acceptance.inner import Inner, Note, Run

SPANS = """
    import pytest
    from noting import note

    @pytest.fixture(autouse=True)
    def span(request):
        note("begin", request.node.name)
        yield
        note("end", request.node.name)
"""


def overlapping(run: Run, name: str) -> set[str]:
    """Return the tests that ran at some time while this one did."""
    found: set[str] = set()
    running: set[str] = set()
    for note in run.notes:
        what, test = note.words
        if what == "begin":
            running.add(test)
            if name in running:
                found |= running
        else:
            running.discard(test)
    return found - {name}


def test_serial_tests_run_alone(inner: Inner) -> None:
    """A test marked `serial` runs beside no other, one with a name beside none of that name."""
    inner.write("conftest.py", SPANS)
    inner.write(
        "test_marked.py",
        """
        import time
        import pytest
        @pytest.mark.parametrize("n", range(6))
        def test_before(n): time.sleep(0.01)
        @pytest.mark.serial
        @pytest.mark.parametrize("n", range(3))
        def test_alone(n): time.sleep(0.02)
        @pytest.mark.serial("base")
        @pytest.mark.parametrize("n", range(6))
        def test_base(n): time.sleep(0.02)
        @pytest.mark.parametrize("n", range(6))
        def test_after(n): time.sleep(0.01)
        """,
    )
    for scope in ("auto", "test"):
        run = inner.workpool("--strict-markers", f"--workpool-scope={scope}")
        assert run.counts == {"passed": 21}, run.text
        for n in range(3):
            assert overlapping(run, f"test_alone[{n}]") == set()
        for n in range(6):
            beside = overlapping(run, f"test_base[{n}]")
            assert not any(name.startswith("test_base") for name in beside)


@pytest.mark.parametrize("mark", ["workpool_group", "xdist_group"])
def test_groups_stay_in_one_worker(inner: Inner, mark: str) -> None:
    """Tests of one group run in one process, whichever modules they are in; ids stay as they are."""
    for module in ("a", "b"):
        inner.write(
            f"test_{module}.py",
            f"""
            import pytest
            from noting import note
            @pytest.mark.{mark}("one")
            @pytest.mark.parametrize("n", range(5))
            def test_one(n, request): note("one", request.node.nodeid)
            @pytest.mark.{mark}(name="two")
            @pytest.mark.parametrize("n", range(5))
            def test_two(n): note("two")
            @pytest.mark.parametrize("n", range(5))
            def test_none(n): pass
            """,
        )
    for scope in ("class", "module", "group"):
        run = inner.workpool("--strict-markers", f"--workpool-scope={scope}")
        assert run.counts == {"passed": 30}, run.text
        for group in ("one", "two"):
            assert len({note.pid for note in run.notes if note.words[0] == group}) == 1
    ids = sorted(note.words[1] for note in run.notes if note.words[0] == "one")
    assert ids == [f"test_{m}.py::test_one[{n}]" for m in "ab" for n in range(5)]


@pytest.mark.parametrize(
    "mark",
    [
        "serial(3)",
        "serial('')",
        "serial('a', 'b')",
        "serial(reason='slow')",
        "workpool_group",
        "workpool_group(None)",
        "workpool_group(['a'])",
    ],
)
def test_marks_that_make_no_sense(inner: Inner, mark: str) -> None:
    """They are a usage error that names the test and the mark."""
    inner.write(
        "test_marked.py",
        f"""
        import pytest
        from noting import note
        @pytest.mark.{mark}
        def test_marked(): note("ran")
        """,
    )
    run = inner.workpool()
    assert run.status == pytest.ExitCode.USAGE_ERROR
    assert f"test_marked.py::test_marked: the mark {mark.partition('(')[0]}(" in run.text
    assert "Traceback" not in run.text
    assert run.notes == []


def processes(notes: list[Note], word: str) -> set[int]:
    """Return the processes that noted a word."""
    return {note.pid for note in notes if note.words[0] == word}


def test_scopes(inner: Inner) -> None:
    """`class` keeps the tests of a class in one worker, `module` those of a module."""
    for module in ("a", "b", "c"):
        inner.write(
            f"test_{module}.py",
            f"""
            import pytest
            from noting import note
            @pytest.mark.parametrize("n", range(4))
            class TestIt:
                def test_it(self, n): note("{module}-class")
            @pytest.mark.parametrize("n", range(4))
            def test_it(n): note("{module}-function")
            """,
        )
    by_class = inner.workpool("--workpool-scope=class")
    by_module = inner.workpool("--workpool-scope=module")
    for module in ("a", "b", "c"):
        assert len(processes(by_class.notes, f"{module}-class")) == 1
        words = (f"{module}-class", f"{module}-function")
        assert len(set().union(*(processes(by_module.notes, word) for word in words))) == 1
