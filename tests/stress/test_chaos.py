"""A short form of the chaos runner: random work under random fire, judged by the tasks' own ledger."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.chaos.verdict import RULES

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
FIRE = ["--kills", "10", "--segv", "2", "--exit", "2", "--term", "2", "--stop", "2"]


@pytest.mark.deadline(60)
def test_nothing_is_lost_under_fire(tmp_path: Path) -> None:
    """Whoever is killed, whenever: each task ends once, and only who was held fails."""
    verdict = tmp_path / "verdict.json"
    command = [sys.executable, "-m", "benchmarks.chaos", "--seed", "5", "--tasks", "800"]
    files = ["--json", str(verdict), "--keep", str(tmp_path)]
    finished = subprocess.run([*command, *FIRE, *files], capture_output=True, text=True, cwd=ROOT)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    told = json.loads(verdict.read_text())
    assert told["verdict"] == dict.fromkeys(RULES, 0)
    assert told["tasks"] >= 800
    assert told["accidents"]["SIGKILL"] == 10
