"""Every test ends as it does in a serial run."""

from __future__ import annotations

import pytest

from tests.pytest_plugin.acceptance.inner import Inner, assert_same

ZOO = {
    "test_plain.py": """
        import sys, warnings
        import pytest

        def test_passes(): pass
        def test_fails(): assert [1, 2] == [1, 3]
        def test_raises(): raise RuntimeError("on purpose")
        def test_skips(): pytest.skip("not today")
        def test_xfails(): pytest.xfail("known")
        def test_exits(): sys.exit(3)
        @pytest.mark.skip(reason="never")
        def test_marked_skip(): assert False
        @pytest.mark.skipif(True, reason="always")
        def test_skipif(): assert False
        @pytest.mark.xfail(reason="known")
        def test_marked_xfail(): assert False
        @pytest.mark.xfail
        def test_xpasses(): pass
        @pytest.mark.xfail(strict=True)
        def test_xpasses_strictly(): pass
        @pytest.mark.xfail(raises=KeyError)
        def test_fails_otherwise(): raise ValueError
        @pytest.mark.xfail(run=False)
        def test_not_run(): assert False
        def test_warns(): warnings.warn("look out", UserWarning)
        def test_fails_without_traceback(): pytest.fail("in short", pytrace=False)

        class Odd(Exception):
            def __reduce__(self): raise TypeError("no pickling")
            def __str__(self): return "odd text"
        def test_raises_what_cannot_travel(): raise Odd
        def test_raises_a_group(): raise ExceptionGroup("two", [ValueError(1), KeyError(2)])
        def test_raises_from():
            try: 1 / 0
            except ZeroDivisionError as e: raise LookupError("after") from e
    """,
    "test_parametrized.py": """
        import pytest

        @pytest.mark.parametrize("x", [1, 2, 3])
        @pytest.mark.parametrize("y", ["a", "b/c", "d::e", "f[g]", "", "\\u00e9\\U0001f600", "n\\nl"])
        def test_product(x, y): assert x != 2 or y != "a"
        @pytest.mark.parametrize("v", [pytest.param(1, id="one"),
            pytest.param(2, marks=pytest.mark.xfail), pytest.param(3, marks=pytest.mark.skip)])
        def test_marked(v): assert v == 1
        @pytest.mark.parametrize("v", [])
        def test_nothing(v): assert False
        @pytest.fixture(params=["p", "q"], scope="module")
        def letter(request): return request.param
        @pytest.fixture
        def doubled(letter): return letter * 2
        @pytest.mark.parametrize("direct, indirect", [(1, 2)], indirect=["indirect"])
        def test_indirect(direct, indirect, doubled): assert indirect == 4 and len(doubled) == 2
        @pytest.fixture
        def indirect(request): return request.param ** 2
    """,
    "test_trouble.py": """
        import pytest

        @pytest.fixture
        def no_setup(): raise OSError("set-up")
        @pytest.fixture
        def no_teardown():
            yield
            raise OSError("tear-down")
        @pytest.fixture(scope="module")
        def no_module(): raise OSError("module")
        def test_error_in_setup(no_setup): pass
        def test_error_in_teardown(no_teardown): pass
        def test_failure_and_error(no_teardown): assert False
        def test_module_1(no_module): pass
        def test_module_2(no_module): pass
        def test_unknown_fixture(there_is_none): pass
    """,
    "test_end_of_module.py": """
        import pytest

        @pytest.fixture(scope="module")
        def no_module_end():
            yield
            raise OSError("end of module")
        def test_only(no_module_end): pass
    """,
    "test_unit.py": """
        import unittest

        class TestCase(unittest.TestCase):
            @classmethod
            def setUpClass(cls): cls.ready = True
            def setUp(self): self.here = True; self.addCleanup(lambda: None)
            def test_passes(self): self.assertTrue(self.ready and self.here)
            def test_fails(self): self.assertEqual(1, 2)
            @unittest.skip("no")
            def test_skipped(self): pass
            @unittest.expectedFailure
            def test_expected(self): self.fail()
            @unittest.expectedFailure
            def test_unexpected(self): pass
            def test_subtests(self):
                for i in range(4):
                    with self.subTest(i=i): self.assertNotEqual(i, 2)

        class TestBadClass(unittest.TestCase):
            @classmethod
            def setUpClass(cls): raise OSError("class")
            def test_1(self): pass
            def test_2(self): pass

        class TestAsync(unittest.IsolatedAsyncioTestCase):
            async def test_awaits(self): pass
    """,
    "deep/pkg/__init__.py": "",
    "deep/pkg/test_classes.py": """
        import pytest

        class TestOuter:
            value = 1
            def setup_class(cls): cls.value = 2
            def setup_method(self): self.other = 3
            def test_state(self): assert (self.value, self.other) == (2, 3)
            class TestInner:
                @pytest.mark.parametrize("n", range(3))
                def test_nested(self, n): assert n != 1
        class TestChild(TestOuter):
            def test_more(self): pass
    """,
    "deep/other/test_plain.py": "def test_same_file_name_elsewhere(): pass\n",
    "deep/other/pytest.ini": "",
    "documented.py": '''
        def double(x):
            """
            >>> double(2)
            4
            >>> double(3)
            7
            """
            return 2 * x
        def good():
            """
            >>> 1 + 1
            2
            """
    ''',
    "text.txt": ">>> 1 + 2\n3\n",
    "test_subtests.py": """
        def test_many(subtests):
            for i in range(5):
                with subtests.test(msg="number", i=i):
                    assert i != 3
        def test_good(subtests):
            with subtests.test("fine"): pass
    """,
}
"""Kinds of tests and of ends. `deep/other` has a module of a name that the top folder has as well."""


def write_zoo(inner: Inner) -> None:
    """Write all kinds of tests."""
    for name, text in ZOO.items():
        inner.write(name, text)
    (inner.path / "deep/other/pytest.ini").unlink()
    inner.write("pytest.ini", "[pytest]\naddopts = --import-mode=importlib -p no:cacheprovider\n")


def test_a_zoo_of_tests(inner: Inner) -> None:
    """All kinds of tests have the outcomes of a serial run, also in another scope and with more workers."""
    write_zoo(inner)
    arguments = ("--doctest-modules", "--doctest-glob=*.txt")
    serial, _ = assert_same(inner, *arguments)
    assert sum(serial.verdicts.values()) > 50
    assert len({verdict for _, verdict in serial.verdicts}) > 4
    again = inner.workpool(*arguments, "--workpool-scope=test", workers=3)
    assert again.verdicts == serial.verdicts
    assert (again.counts, again.status) == (serial.counts, serial.status)


def test_a_module_that_cannot_be_collected(inner: Inner) -> None:
    """The error is told once, as serially; with the option to go on, the other tests run."""
    inner.write("test_broken.py", "import there_is_no_such_module\n")
    inner.write("test_syntax.py", "def test_(:\n")
    inner.write("test_good.py", "def test_1(): pass\ndef test_2(): assert False\n")
    serial, parallel = assert_same(inner)
    assert parallel.text.count("ModuleNotFoundError") == serial.text.count("ModuleNotFoundError")
    assert "2 errors" in parallel.lines[-1]
    assert_same(inner, "--continue-on-collection-errors")


def test_nothing_to_run(inner: Inner) -> None:
    """All tests deselected, a path that does not exist, and no tests at all end as serially."""
    inner.write("test_one.py", "def test_one(): pass\n")
    assert_same(inner, "-k", "nothing_of_that_name")
    assert_same(inner, "no_such_file.py")
    (inner.path / "test_one.py").unlink()
    serial, _ = assert_same(inner)
    assert serial.status == pytest.ExitCode.NO_TESTS_COLLECTED


CONFTEST = """
    import pytest
    from noting import note

    pytest_plugins = ["local_plugin"]

    def pytest_addoption(parser):
        parser.addoption("--size", type=int, default=1)
        parser.addini("colour", "a colour")
    def pytest_configure(config):
        config.addinivalue_line("markers", "wanted(n): from the conftest")
    def pytest_generate_tests(metafunc):
        if "size" in metafunc.fixturenames:
            metafunc.parametrize("size", range(metafunc.config.getoption("size")))
    def pytest_collection_modifyitems(config, items):
        dropped = [item for item in items if "dropped" in item.name]
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item not in dropped][::-1]
    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(item, call):
        report = yield
        setattr(item, "rep_" + report.when, report)
        report.user_properties.append(("from", "conftest"))
        report.sections.append(("Extra", "an extra section"))
        return report
    def pytest_collect_file(file_path, parent):
        if file_path.suffix == ".cases":
            return CaseFile.from_parent(parent, path=file_path)
    class CaseFile(pytest.File):
        def collect(self):
            for line in self.path.read_text().split():
                yield Case.from_parent(self, name=line)
    class Case(pytest.Item):
        def runtest(self): assert self.name != "bad"
        def repr_failure(self, excinfo): return f"case {self.name} went wrong"
        def reportinfo(self): return self.path, 0, f"case: {self.name}"
    def pytest_runtest_setup(item):
        note("hook setup", item.name)
    @pytest.fixture
    def told(request):
        yield
        assert request.node.rep_call.passed
    def pytest_report_teststatus(report):
        if report.when == "call" and report.passed and "smiles" in report.nodeid:
            return "smiled", ":", "SMILED"
    def pytest_terminal_summary(terminalreporter):
        passed = len(terminalreporter.stats.get("passed", []))
        terminalreporter.write_line(f"conftest counted {passed} passed")
    def pytest_sessionfinish(session, exitstatus):
        if not hasattr(session.config, "workerinput"):
            print("exit status in the hook:", int(exitstatus), session.testscollected,
                  session.testsfailed)
"""


def test_hooks_of_a_conftest(inner: Inner) -> None:
    """Hooks, options, marks, plugins and items of a conftest work as in a serial run."""
    inner.write("conftest.py", CONFTEST)
    inner.write(
        "local_plugin.py",
        """
        import pytest
        @pytest.fixture(scope="session")
        def from_plugin(): return "plugged"
        def helper(x): assert x == 41
        pytest.register_assert_rewrite("rewritten")
        """,
    )
    inner.write("rewritten.py", "def check(x):\n    assert x == 41\n")
    inner.write(
        "test_hooks.py",
        """
        import pytest
        @pytest.mark.wanted(1)
        def test_size(size, from_plugin, told): assert from_plugin == "plugged"
        def test_dropped(): assert False
        def test_smiles(): pass
        def test_rewritten():
            from rewritten import check
            check(42)
        """,
    )
    inner.write("some.cases", "good bad fine")
    serial, parallel = assert_same(inner, "--size=4", "--strict-markers", "-v")
    for run in (serial, parallel):
        assert "assert 42 == 41" in run.text
        assert "case bad went wrong" in run.text
        assert "an extra section" in run.text
        assert "SMILED" in run.text
        assert "1 smiled" in run.lines[-1]
        assert run.noted("hook", "setup", "test_smiles") == 1
    summaries = ("conftest counted", "exit status in the hook:")
    for start in summaries:
        expected = [line[line.index(start) :] for line in serial.lines if start in line]
        assert [line[line.index(start) :] for line in parallel.lines if start in line] == expected
