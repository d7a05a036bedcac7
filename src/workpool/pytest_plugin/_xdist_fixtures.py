"""Fixtures that suites for pytest-xdist use; they exist in serial runs too."""

from __future__ import annotations

import os
import uuid

import pytest


@pytest.fixture(scope="session")
def worker_id(request: pytest.FixtureRequest) -> str:
    """The name of the worker, such as "gw0"; "master" if there are none."""
    settings = getattr(request.config, "workerinput", {})
    return str(settings.get("workerid", "master"))


@pytest.fixture(scope="session")
def testrun_uid(request: pytest.FixtureRequest) -> str:
    """A text that is the same in all workers of a run and another one in each run."""
    settings = getattr(request.config, "workerinput", {})
    return str(settings.get("testrunuid") or f"{uuid.uuid4().hex}-{os.getpid()}")
