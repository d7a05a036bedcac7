"""The models of `models/`: every mutation still fits, and they agree with the product and the page."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from tools import check_models
from tools.check_models import ENDS, MODELS, Outcome, Run
from workpool._interrupts import CANCEL_GRACE, SETTLE_SECONDS
from workpool._system.status_page import FEWEST_LANES

RUNS = list(check_models.runs())
VARIANTS = [run for run in RUNS if not run.edits]
MUTANTS = [run for run in RUNS if run.edits]
TEXTS = {path.name: path.read_text() for path in MODELS.glob("*.pml")}
README = (MODELS / "README.md").read_text()


def properties(model: str) -> set[str]:
    """Return the properties of a model: the names of its assertions, and the one spin has."""
    return set(re.findall(r"assert\(.*/\* (\w+) \*/", TEXTS[model])) | {ENDS}


def name_of(run: Run) -> str:
    return run.name


@pytest.mark.parametrize("mutant", MUTANTS, ids=name_of)
def test_every_mutation_applies_to_exactly_one_place(mutant: Run) -> None:
    """A model that has moved on takes its mutants along."""
    assert check_models.source(mutant) != TEXTS[mutant.model]
    assert mutant.property in properties(mutant.model)


def test_a_mutation_that_fits_nowhere_is_refused() -> None:
    """It does not count as the model itself, which would hold."""
    stray = Run("stray", "stealing.pml", (), (("no such line", ""),), ENDS)
    with pytest.raises(ValueError, match=r"mutant stray: occurs 0 times"):
        check_models.source(stray)


def test_names_are_unique() -> None:
    """A name on the command line means one run."""
    assert len({run.name for run in RUNS}) == len(RUNS)


@pytest.mark.parametrize("model", TEXTS)
def test_every_assertion_has_a_name(model: str) -> None:
    """Or a mutant could be caught by something nobody has named."""
    assertions = [line for line in TEXTS[model].splitlines() if "assert(" in line]
    assert [line for line in assertions if not re.search(r"/\* \w+ \*/", line)] == []


@pytest.mark.parametrize("model", TEXTS)
def test_every_property_can_fail(model: str) -> None:
    """Each has a mutant that violates it."""
    assert {mutant.property for mutant in MUTANTS if mutant.model == model} == properties(model)


def test_every_property_is_explained() -> None:
    """The page says of each what it means."""
    for model in TEXTS:
        section = README.split(f"## {model}")[1].split("\n## ")[0]
        assert properties(model) == set(re.findall(r"^\| ([A-Z]\w+) \|", section, re.MULTILINE))


def test_the_size_that_was_asked_for_is_verified() -> None:
    """Three workers, four tasks and a kill at any step, on every run."""
    assert "#define WORKERS 3\n" in TEXTS["stealing.pml"]
    crash = next(run for run in VARIANTS if {"TASKS=4", "CRASHES=1"} <= set(run.defines))
    assert not crash.thorough


def test_lanes_are_those_of_the_status_page() -> None:
    """A synchronous worker has as many lanes in the models as in the product."""
    for name in ("stealing.pml", "interrupts.pml"):  # a batch stays in one
        assert f"#define LANES {FEWEST_LANES}\n" in TEXTS[name]


def test_a_store_has_long_been_seen_when_the_settle_time_is_half_over() -> None:
    """What interrupts.pml assumes: stores linger for less than a microsecond or a few."""
    assert SETTLE_SECONDS / 2 >= 100e-6
    assert SETTLE_SECONDS < CANCEL_GRACE


def test_a_missing_program_is_named_with_its_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without spin nothing is verified, and the status says so."""
    monkeypatch.setattr(shutil, "which", lambda program: None if program == "spin" else program)
    monkeypatch.setattr(sys, "argv", ["check_models"])
    assert check_models.main() == 2
    assert "apt-get install spin\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("run", "outcome", "word"),
    [
        (VARIANTS[0], Outcome("", 10, 0.1), "holds"),
        (VARIANTS[0], Outcome("RunsOnce", 10, 0.1), "FAILS"),
        (VARIANTS[0], Outcome("", 10, 0.1, trouble="out of memory"), "FAILS"),
        (MUTANTS[0], Outcome(MUTANTS[0].property, 10, 0.1), "caught"),
        (MUTANTS[0], Outcome("", 10, 0.1), "NOT CAUGHT"),
        (MUTANTS[0], Outcome("SomethingElse", 10, 0.1), "NOT CAUGHT"),
    ],
)
def test_only_the_named_property_catches_a_mutant(run: Run, outcome: Outcome, word: str) -> None:
    """A mutant that is caught by another property, or a search that was cut short, is no success."""
    assert check_models.describe(run, outcome).startswith(word)
    assert outcome.is_good(run) == (word in {"holds", "caught"})


def test_the_script_finds_its_program() -> None:
    """`tools/check_models` is what the documents name."""
    script = Path(check_models.__file__).with_suffix("")
    assert script.stat().st_mode & 0o111
    assert "check_models.py" in script.read_text()
