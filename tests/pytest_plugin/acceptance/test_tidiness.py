"""Workers add nothing to what is printed but what they are asked for, and pytest does nothing twice."""

from __future__ import annotations

from tests.pytest_plugin.acceptance.inner import Inner


def test_a_line_for_each_test(inner: Inner) -> None:
    """With -v the name of a test is printed once, after its worker and its outcome."""
    inner.write("test_it.py", "def test_one(): pass\ndef test_two(): pass")
    lines = [line for line in inner.workpool("-v").lines if "test_it.py::" in line]
    assert len(lines) == 2
    assert all(" PASSED test_it.py::test_" in line and line.startswith("[gw") for line in lines)


def test_options_that_nobody_knows(inner: Inner) -> None:
    """An unknown line in the configuration file is warned of once, not once per process."""
    inner.write("pytest.ini", "[pytest]\nnobody_knows = 1\n")
    inner.write("test_it.py", "def test_one(): pass")
    serial, parallel = inner.serial(), inner.workpool()
    assert serial.counts == parallel.counts == {"passed": 1, "warnings": 1}, parallel.text


def test_own_modules_are_imported_as_they_are(inner: Inner) -> None:
    """pytest rewrites nothing of this package but the plugin module, which it imports itself."""
    inner.write(
        "conftest.py",
        """
        import sys
        from noting import note
        def pytest_sessionfinish():
            for name, module in list(sys.modules.items()):
                if name.startswith("workpool") and name != "workpool.pytest_plugin":
                    note(type(module.__spec__.loader).__name__)
        """,
    )
    inner.write("test_it.py", "def test_one(): pass")
    run = inner.workpool(workers=1)
    loaders = {note.words[0] for note in run.notes}
    assert loaders == {"SourceFileLoader"}, loaders
