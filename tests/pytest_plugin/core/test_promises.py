"""What a worker does about the test it was told would follow. Takes 1 s."""

from __future__ import annotations

from pathlib import Path

from workpool import WorkerPool
from workpool.pytest_plugin._worker import DESCRIBE, FINISH, NOT_COMING, pack_test
from workpool.pytest_plugin._worker_settings import WorkerSettings

SUITE = """
import pytest

def note(word):
    with open("notes", "a") as notes:
        notes.write(word + " ")

@pytest.fixture(scope="module")
def module():
    note("up")
    yield
    note("down")

def test_1(module): note("1")
def test_2(module): note("2")
def test_3(module): note("3")
def test_4(module): note("4")
"""


def settings(folder: Path) -> WorkerSettings:
    return WorkerSettings(
        arguments=["-p", "no:cacheprovider", str(folder)],
        plugins=[],
        directory=str(folder),
        argv=["pytest"],
        worker_count=1,
        run_id="run",
        base_temp="",
        color="no",
        timeout=None,
        environment=({}, []),
        worker_input={},
    )


async def test_fixtures_stay_up_for_what_was_promised(tmp_path: Path) -> None:
    """However late it comes; if it does not come they are torn down as soon as that is known."""
    (tmp_path / "test_it.py").write_text(SUITE)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    first, second, third, fourth = (f"test_it.py::test_{number}" for number in (1, 2, 3, 4))

    def notes() -> str:
        return (tmp_path / "notes").read_text()

    async with WorkerPool("workpool.pytest_plugin._entry:work", max_workers=1) as pool:
        await pool.add_task(settings(tmp_path).packed())
        await pool.add_task(pack_test(first, second))
        assert notes() == "up 1 "
        await pool.add_task(pack_test(second, third))
        assert notes() == "up 1 2 "
        [worker] = pool.workers
        worker.post_message(NOT_COMING, (first, second))  # long ago
        await pool.add_task(DESCRIBE)
        assert notes() == "up 1 2 "
        worker.post_message(NOT_COMING, (second, third))
        await pool.add_task(DESCRIBE)
        assert notes() == "up 1 2 down "
        worker.post_message(NOT_COMING, (third, fourth))  # before its time
        await pool.add_task(pack_test(third, fourth))
        assert notes() == "up 1 2 down up 3 down "
        await pool.add_task(FINISH)
