"""No test waits behind another one, and the fixtures that pytest brings work in workers."""

from __future__ import annotations

from tests.pytest_plugin.acceptance.inner import Inner, assert_same


def test_no_test_is_held_hostage(inner: Inner) -> None:
    """While one test runs, first or last in its module, the other worker runs all the others."""
    inner.write(
        "test_hostage.py",
        """
        import pytest
        from noting import note, wait_for
        @pytest.fixture(scope="module")
        def module(): return 1
        def test_first(module): wait_for("other", count=30)
        @pytest.mark.parametrize("n", range(30))
        def test_other(module, n): note("other")
        """,
    )
    inner.write(
        "test_pair.py",
        """
        import pytest
        from noting import note, wait_for
        @pytest.mark.parametrize("n", range(20))
        def test_other(n): pass
        def test_x():
            note("x")
            wait_for("y")
        def test_y():
            note("y")
            wait_for("x")
        """,
    )
    for name in ("test_hostage.py", "test_pair.py"):
        run = inner.workpool(name)
        assert (run.status, set(run.counts)) == (0, {"passed"}), run.text


def test_what_is_undone_badly(inner: Inner) -> None:
    """An error when a value of `once_per_run` is undone is one of the run, serial or not, and the summary is there."""
    inner.write(
        "test_undo.py",
        """
        import pytest
        from noting import note
        @pytest.fixture(scope="session")
        def shared(once_per_run):
            once_per_run("first", lambda: 0, lambda value: note("undone"))
            return once_per_run("second", lambda: 1, lambda value: 1 / 0)
        def test_shared(shared): assert shared == 1
        def test_fails(): assert False
        """,
    )
    for run in (inner.serial(), inner.workpool()):
        assert (run.status, run.counts) == (1, {"failed": 1, "passed": 1, "errors": 1})
        assert run.noted("undone") == 1
        assert "ZeroDivisionError" in run.text
        assert "INTERNALERROR" not in run.text


def test_temporary_folders(inner: Inner) -> None:
    """Each test has a folder of its own, named for it; of passed ones nothing need be kept."""
    inner.write(
        "test_folders.py",
        """
        import pytest
        from noting import note
        @pytest.fixture(scope="session")
        def common(tmp_path_factory):
            return tmp_path_factory.mktemp("common")
        @pytest.mark.parametrize("n", range(12))
        def test_folder(tmp_path, common, n):
            assert list(tmp_path.iterdir()) == [] and common.is_dir()
            (tmp_path / "file").write_text("x")
            note("folder", tmp_path)
            note("name", tmp_path.name)
        """,
    )
    serial, parallel = assert_same(inner)
    folders = [note.words[1] for note in parallel.notes if note.words[0] == "folder"]
    assert len(set(folders)) == 12
    names = [
        sorted(note.words[1] for note in run.notes if note.words[0] == "name")
        for run in (serial, parallel)
    ]
    assert names[0] == names[1]
    base = f"{inner.path}.base"
    assert all(folder.startswith(base) for folder in folders)


def test_fixtures_that_pytest_brings(inner: Inner) -> None:
    """Capturing, logging, warnings, monkeypatching and the configuration work in each worker."""
    inner.write("pytest.ini", "[pytest]\njunit_family = xunit1\n")
    inner.write(
        "test_built_in.py",
        """
        import logging, os, subprocess, sys, warnings
        import pytest

        @pytest.fixture(params=range(3), autouse=True)
        def thrice(request): pass

        def test_capsys(capsys):
            print("out"); print("err", file=sys.stderr)
            assert capsys.readouterr() == ("out\\n", "err\\n")
            with capsys.disabled(): pass
        def test_capfd(capfd):
            os.write(1, b"out\\n"); subprocess.run(["echo", "child"], check=True)
            assert capfd.readouterr().out == "out\\nchild\\n"
        def test_capfdbinary(capfdbinary):
            os.write(2, b"\\xff"); assert capfdbinary.readouterr().err == b"\\xff"
        def test_caplog(caplog):
            logging.getLogger("a.b").warning("hm %d", 1)
            assert caplog.record_tuples == [("a.b", logging.WARNING, "hm 1")]
            with caplog.at_level(logging.DEBUG): logging.debug("deep")
            assert "deep" in caplog.text
        def test_recwarn(recwarn):
            warnings.warn("w", DeprecationWarning)
            assert recwarn.pop(DeprecationWarning)
        def test_warns():
            with pytest.warns(UserWarning, match="z"): warnings.warn("z")
        def test_monkeypatch(monkeypatch):
            monkeypatch.setenv("SOME_NAME", "1"); monkeypatch.chdir("/")
        def test_clean(): assert "SOME_NAME" not in os.environ and os.getcwd() != "/"
        def test_cache(cache, pytestconfig):
            cache.set("a/b", [1]); assert cache.get("a/b", None) == [1]
            assert pytestconfig.rootpath == pytestconfig.rootpath.absolute()
        def test_request(request):
            assert request.node.nodeid.startswith("test_built_in.py::test_request[")
            assert request.session.testscollected == 36
            assert os.environ["PYTEST_CURRENT_TEST"] == request.node.nodeid + " (call)"
        def test_properties(record_property, record_testsuite_property):
            record_property("key", "value"); record_testsuite_property("all", "1")
        def test_stdin():
            with pytest.raises(OSError): sys.stdin.read()
        """,
    )
    serial, _ = assert_same(inner)
    assert set(serial.counts) == {"passed"}, serial.text
