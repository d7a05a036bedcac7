"""What a run consists of, for those who deal with what happens in it."""

from __future__ import annotations

import time
import uuid

import pytest

from workpool.pytest_plugin._console import Console
from workpool.pytest_plugin._crew import Crew
from workpool.pytest_plugin._durations import Durations
from workpool.pytest_plugin._last_words import LastWords
from workpool.pytest_plugin._options import Options
from workpool.pytest_plugin._problems import Problems
from workpool.pytest_plugin._relay import Relay
from workpool.pytest_plugin._roster import Roster
from workpool.pytest_plugin._schedule import Schedule
from workpool.pytest_plugin._xdist_nodes import Nodes


class RunParts:
    """The parts of a run."""

    def __init__(self, config: pytest.Config, options: Options, crew: Crew) -> None:
        self.config = config
        self.options = options
        self.crew = crew
        self.nodes = Nodes(config, options.workers, uuid.uuid4().hex)
        self.relay = Relay(config, self.nodes.report_fields)
        self.durations = Durations(config)
        self.roster = Roster(options.workers)
        self.last_words = LastWords()
        self.problems = Problems(config)
        self.schedule: Schedule | None = None
        """None until it is known which tests there are."""
        self.session: pytest.Session
        self.console: Console
        """These two are there as soon as pytest's session has begun."""
        self.begun_at = 0.0

    def begin(self, session: pytest.Session, console: Console) -> None:
        """Take in pytest's session."""
        self.session, self.console = session, console
        self.begun_at = time.monotonic()

    def replace(self, worker: int) -> None:
        """Have the worker that takes a dead one's place open its session."""
        if self.roster.note_loss(worker):
            self.crew.collect(worker)
