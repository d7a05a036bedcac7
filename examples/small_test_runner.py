"""A small test runner: what is set up for a file is kept as long as tests of that file follow.

python examples/small_test_runner.py FILE...      without a file, it runs three of its own
"""

from __future__ import annotations

import ast
import asyncio
import runpy
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

from workpool import TaskTimeout, WorkerClient, WorkerCrashed, WorkerPool, entrypoint

SAMPLES = {
    "good.py": "def setup(): print('good.py is set up')\ndef test_one(): pass\ndef test_two(): pass\n",
    "bad.py": "def test_sum(): assert 1 + 1 == 3, 'it is 2'\n",
    "ugly.py": "import os\ndef test_crash(): os.kill(os.getpid(), 9)\ndef test_hang():\n    while True: pass\n",
}


@entrypoint
def run_test(name: str, client: WorkerClient) -> str:
    """Run the test ``FILE::FUNCTION`` in a worker; return what it failed with, or nothing."""
    file, _, function = name.partition("::")
    try:
        if client.state.file != file:
            change_file(client, file)
        client.state.names[function]()
        return ""
    except Exception:  # noqa: BLE001 - a test may fail with anything
        return traceback.format_exc().splitlines()[-1]
    finally:
        following = client.claim_next()
        if following is None or following.argument.partition("::")[0] != file:
            change_file(client, None)


@run_test.on_worker_start
def begin(client: WorkerClient) -> None:
    """Run once per worker."""
    client.state.file, client.state.names = None, {}


def change_file(client: WorkerClient, file: str | None) -> None:
    """Tear down what was set up for the file before, and set up what this one needs."""
    state = client.state
    names, state.file, state.names = state.names, None, {}
    names.get("teardown", lambda: None)()
    if file is not None:
        state.names = runpy.run_path(file)
        state.file = file
        state.names.get("setup", lambda: None)()


def collect(file: Path) -> list[str]:
    """Return the names of a file's tests, without importing it."""
    tree = ast.parse(file.read_text())
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    return [f"{file}::{name}" for name in functions if name.startswith("test")]


async def run(files: list[Path]) -> int:
    """Run the tests of files in two workers; return how many have not passed."""
    outcomes: list[str] = []

    def show_line(worker: Any, stream: str, line: str) -> None:
        print(f"{'':8}{line}")

    async with WorkerPool(run_test, max_workers=2, worker_output=show_line) as pool:

        async def report(name: str, worker: int) -> None:
            try:
                # The tests of a file wait in one queue, in their order; whoever is idle may steal them.
                task = pool.add_task(name, worker=worker, key=name, timeout=1.0)
                failure = await task
            except WorkerCrashed as crash:
                failure = f"its worker was ended by {crash.signal_name or crash.exit_code}"
            except TaskTimeout:
                failure = "took longer than a second"
            outcomes.append("FAILED" if failure else "passed")
            print(f"{outcomes[-1]:8}{Path(name).name}{failure and ': ' + failure}")

        async with asyncio.TaskGroup() as group:
            for number, file in enumerate(files):
                for name in collect(file):
                    group.create_task(report(name, number % 2))
    return outcomes.count("FAILED")


def main() -> int:
    """Run what the command line names, or the samples."""
    if len(sys.argv) > 1:
        return asyncio.run(run([Path(name) for name in sys.argv[1:]]))
    with tempfile.TemporaryDirectory() as folder:
        for name, text in SAMPLES.items():
            (Path(folder) / name).write_text(text)
        failed = asyncio.run(run([Path(folder) / name for name in SAMPLES]))
    print(f"{failed} have not passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
