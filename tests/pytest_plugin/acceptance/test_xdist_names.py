"""Suites that were written for pytest-xdist find what they know it by, without it."""

from __future__ import annotations

import importlib.util

import pytest

from tests.pytest_plugin.acceptance.inner import Inner

without_xdist = pytest.mark.skipif(
    importlib.util.find_spec("xdist") is not None, reason="these are the options of the real one"
)

PARALLEL = ("--workpool=2",)

NODES = """
    from noting import note

    def pytest_xdist_setupnodes(config, specs): note("specs", *[spec.id for spec in specs])
    def pytest_configure_node(node):
        node.workerinput["given"] = {"number": 7, "pair": (1, 2)}
        note("configure", node.gateway.id, node.workerinput["workercount"])
    def pytest_testnodeready(node): note("ready", node.gateway.id)
    def pytest_xdist_node_collection_finished(node, ids): note("ids", node.gateway.id, *ids)
    def pytest_testnodedown(node, error):
        note("down", node.gateway.id, error, getattr(node, "workeroutput", {}).get("back"))
    def pytest_sessionfinish(session):
        config = session.config
        if hasattr(config, "workerinput"):
            config.workeroutput["back"] = config.workerinput["given"]["number"]
    def pytest_runtest_logreport(report):
        if report.when == "call" and hasattr(report, "node"):
            note("report", report.node.gateway.id == report.worker_id)
"""


def test_hooks_of_nodes(inner: Inner) -> None:
    """Each worker is given what a hook has for it, and what it leaves comes to a hook."""
    inner.write("conftest.py", NODES)
    inner.write(
        "test_it.py",
        """
        import pytest
        from noting import note, wait_for
        @pytest.mark.parametrize("n", range(2))
        def test_it(n, request):
            note("began")
            wait_for("began", count=2)
            assert request.config.workerinput["given"] == {"number": 7, "pair": (1, 2)}
        """,
    )
    run = inner.workpool("--workpool-scope=test")
    assert run.counts == {"passed": 2}, run.text
    assert run.noted("specs", "gw0", "gw1") == 1
    ids = ("test_it.py::test_it[0]", "test_it.py::test_it[1]")
    for name in ("gw0", "gw1"):
        assert run.noted("configure", name, "2") == 1
        assert run.noted("ready", name) == 1
        assert run.noted("ids", name, *ids) == 1
        assert run.noted("down", name, "None", "7") == 1
    assert run.noted("report", "True") == 2


def test_a_node_goes_down_with_its_worker(inner: Inner) -> None:
    """A worker that dies is told of as down with an error, and its successor is configured anew."""
    inner.write("conftest.py", NODES)
    inner.write(
        "test_it.py",
        """
        import os
        def test_crash(): os._exit(3)
        def test_after(request): assert request.config.workerinput["given"]["number"] == 7
        """,
    )
    run = inner.workpool(workers=1)
    assert run.counts == {"failed": 1, "passed": 1}, run.text
    assert run.noted("configure", "gw0", "1") == 2
    downs = [note.words[2] for note in run.notes if note.words[0] == "down"]
    assert len(downs) == 2
    assert downs[0] != "None"
    assert downs[1] == "None"


@pytest.mark.parametrize("mode", [(), PARALLEL], ids=["serial", "workers"])
def test_fixtures_and_checks(inner: Inner, mode: tuple[str, ...]) -> None:
    """`worker_id` and `testrun_uid` are there in any run, and so is the answer to "am I a worker"."""
    inner.write(
        "test_it.py",
        """
        import os
        from workpool.pytest_plugin import get_worker_id, is_worker
        from noting import note
        def test_it(worker_id, testrun_uid, request):
            assert worker_id == get_worker_id(request) == get_worker_id(request.config)
            assert os.environ.get("PYTEST_XDIST_WORKER", "master") == worker_id
            assert is_worker(request) == hasattr(request.config, "workerinput")
            if is_worker(request):
                assert os.environ["PYTEST_XDIST_TESTRUNUID"] == testrun_uid
                assert os.environ["PYTEST_XDIST_WORKER_COUNT"] == "2"
                assert request.config.option.dist == "no"
                assert request.config.pluginmanager.hasplugin("xdist")
            assert len(testrun_uid) >= 32
            note(worker_id[:2])
        """,
    )
    run = inner.run(*mode)
    assert run.counts == {"passed": 1}, run.text
    assert run.noted("gw" if mode else "ma") == 1


def test_options_tell_of_workers(inner: Inner) -> None:
    """In the controller `numprocesses`, `dist` and `tx` are those of a parallel run when plugins are configured."""
    inner.write(
        "conftest.py",
        """
        from noting import note
        def pytest_configure(config):
            if not hasattr(config, "workerinput"):
                note(config.option.numprocesses, config.option.dist, *config.option.tx)
        """,
    )
    inner.write("test_it.py", "def test_it(): pass")
    run = inner.workpool("-p", "no:xdist")
    assert run.counts == {"passed": 1}, run.text
    assert run.noted("2", "load", "popen", "popen") == 1


@without_xdist
def test_options_tell_of_workers_where_xdist_is_installed(inner: Inner) -> None:
    """So they are there for all but xdist itself, which would take the run over."""
    inner.write(
        "xdist.py",
        """
        import pytest
        from noting import note
        def pytest_addoption(parser):
            for name in ("numprocesses", "maxprocesses"):
                parser.addoption(f"--{name}", type=int)
            parser.addoption("--dist", default="no")
            parser.addoption("--tx", action="append", default=[])
            parser.addoption("--distload", action="store_true")
        @pytest.hookimpl(trylast=True)
        def pytest_configure(config):
            if config.option.dist != "no" and config.option.tx: note("takes over")
        """,
    )
    inner.write(
        "conftest.py",
        """
        import pytest
        from noting import note
        class Look:
            @pytest.hookimpl(trylast=True)
            def pytest_configure(self, config): look(config)
        def look(config):
            if not hasattr(config, "workerinput"):
                note(config.option.numprocesses, config.option.dist, *config.option.tx)
        def pytest_configure(config):
            look(config)
            config.pluginmanager.register(Look())
        """,
    )
    inner.write("test_it.py", "def test_it(): pass")
    run = inner.workpool("-p", "xdist")
    assert run.counts == {"passed": 1}, run.text
    assert run.noted("2", "load", "popen", "popen") == 2
    assert run.noted("takes", "over") == 0


@without_xdist
@pytest.mark.parametrize(
    ("options", "workers"),
    [
        ("-n2", 2),
        ("-n 1 --dist=loadscope --max-worker-restart=0", 1),
        ("--numprocesses=5 --maxprocesses=2 --dist worksteal", 2),
        ("-n auto --maxprocesses=1", 1),
        ("-n0", 0),
        ("-n2 --collect-only", 0),
    ],
)
def test_command_lines_for_xdist(inner: Inner, options: str, workers: int) -> None:
    """`-n` starts workers, as many as `--maxprocesses` lets it; with 0 the run is serial."""
    inner.write("conftest.py", NODES)
    inner.write("test_it.py", "def test_it(): pass")
    run = inner.run(*options.split())
    assert run.status == 0, run.text
    assert sum(note.words[0] == "configure" for note in run.notes) == workers


@without_xdist
@pytest.mark.parametrize(
    "options",
    [
        "-n two",
        "-n-1",
        "-n2 --workpool=2",
        "-n2 --dist=each",
        "-n2 --maxprocesses=0",
        "--workpool=auto --maxprocesses=-1",
        "-n2 --maxprocesses=some",
        "-n2 --max-worker-restart=x",
    ],
)
def test_wrong_command_lines_for_xdist(inner: Inner, options: str) -> None:
    """What cannot be right, and both ways to ask for workers at once, are usage errors."""
    inner.write("test_it.py", "def test_it(): pass")
    run = inner.run(*options.split())
    assert run.status == pytest.ExitCode.USAGE_ERROR, run.text
    assert options.rsplit(maxsplit=1)[-1].partition("=")[0].removesuffix("-1") in run.text


@pytest.mark.parametrize("way", ["hook", "variable"])
def test_how_many_is_auto(inner: Inner, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """A conftest, or a variable, says how many workers 'auto' means, as for pytest-xdist."""
    if way == "hook":
        inner.write("conftest.py", "def pytest_xdist_auto_num_workers(config): return 3")
    else:
        monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "3")
    inner.write("test_it.py", "def test_it(worker_id): assert worker_id.startswith('gw')")
    run = inner.workpool(workers="auto")
    assert run.counts == {"passed": 1}, run.text
    assert "workpool: up to 3 workers" in run.text


def test_a_plugin_has_a_crashed_test_run_again(inner: Inner) -> None:
    """`pytest_handlecrashitem` may change the report and hand the test back."""
    inner.write(
        "conftest.py",
        """
        def pytest_handlecrashitem(crashitem, report, sched):
            assert sched.config is not None
            report.outcome = "rerun"
            sched.mark_test_pending(crashitem)
        """,
    )
    inner.write(
        "test_it.py",
        """
        import os
        from noting import note, noted
        def test_it():
            note("began")
            if len(noted()) == 1: os._exit(1)
        """,
    )
    run = inner.workpool(workers=1)
    assert run.counts == {"passed": 1, "rerun": 1}, run.text
