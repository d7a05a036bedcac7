"""Records of `logging` in a worker: forwarded, in a form that any process can read."""

from __future__ import annotations

import json
import logging
import pickle
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.children import Unpicklable
from workpool import _frames
from workpool._worker.logs import watch_logging
from workpool._worker.reporter import Reporter


class Records(Reporter):
    """Keeps what would be sent."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def send(
        self, kind: int, attempt: int, body: Any = b"", cost: float = 0.0, buffers: Any = ()
    ) -> None:
        assert (kind, attempt) == (_frames.LOG, 0)
        self.sent.append(pickle.loads(body))


@pytest.fixture
def records() -> Iterator[Records]:
    """Forward what is logged here; put `logging` back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    made = Records()
    watch_logging(made, {"": logging.INFO, "workpool.test.loud": logging.DEBUG})
    yield made
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("workpool.test.loud").setLevel(logging.NOTSET)


def test_a_record_arrives_with_its_text(records: Records) -> None:
    """Arguments are merged here, where they are; level, name and place are kept."""
    logging.getLogger("workpool.test").warning("%d of %s", 3, "four")
    [sent] = records.sent
    record = logging.makeLogRecord(sent)
    assert record.getMessage() == "3 of four"
    assert (record.name, record.levelname) == ("workpool.test", "WARNING")
    assert record.funcName == "test_a_record_arrives_with_its_text"
    assert record.exc_info is None


def test_percent_signs_survive(records: Records) -> None:
    """A message that was formatted once is not formatted again."""
    logging.getLogger("workpool.test").warning("%s%%", "50%")
    assert logging.makeLogRecord(records.sent[0]).getMessage() == "50%%"


def test_a_traceback_travels_as_text(records: Records) -> None:
    """What `exception` adds can be printed by any formatter of the parent."""
    try:
        raise ValueError("wrong")
    except ValueError:
        logging.getLogger("workpool.test").exception("it failed")
    record = logging.makeLogRecord(records.sent[0])
    assert "ValueError: wrong" in logging.Formatter().format(record)


def test_what_cannot_travel_becomes_text(records: Records) -> None:
    """Any argument and any extra attribute may be logged."""
    extra = {"thing": Unpicklable(), "count": 3}
    logging.getLogger("workpool.test").warning("%s", Unpicklable(), extra=extra)
    [sent] = records.sent
    assert sent["msg"] == "<Unpicklable thing>"
    assert (sent["thing"], sent["count"]) == ("<Unpicklable thing>", 3)


def test_the_levels_are_those_of_the_pool(records: Records) -> None:
    """A worker does not make records that the parent would drop."""
    logging.getLogger("workpool.test").debug("too quiet")
    logging.getLogger("workpool.test.loud").debug("just right")
    assert [sent["msg"] for sent in records.sent] == ["just right"]


def test_a_record_that_cannot_be_formatted_is_told_of(
    records: Records, capsys: pytest.CaptureFixture[str]
) -> None:
    """It does not raise into the code that logs, and is not lost without a word either."""
    # The handlers pytest adds raise where others do not.
    logging.root.handlers[:] = [h for h in logging.root.handlers if type(h).__name__ == "Forwarder"]
    logging.getLogger("workpool.test").warning("%d of them", "many")
    told = [str(sent["msg"]) for sent in records.sent] + [capsys.readouterr().err]
    assert "%d of them" in "".join(told)
    assert "many" in "".join(told)


FIRST_IMPORT = """
import sys
sys.path[:] = {path!r}
from workpool._worker.logs import watch_logging

assert "logging" not in sys.modules
sent = []

class Reporter:
    def send(self, kind, attempt, body):
        sent.append(body)

before = list(sys.meta_path)
watch_logging(Reporter(), {{"": 10}})
import {first}
assert "logging" in sys.modules
assert sys.meta_path == before
import importlib, json, logging, pickle
logging.getLogger("later").debug("hello")
print(json.dumps({{
    "messages": [pickle.loads(body)["msg"] for body in sent],
    "loader": type(logging.__loader__).__name__,
    "spec_loader": type(logging.__spec__.loader).__name__,
    "again": importlib.reload(logging) is logging,
}}))
"""


@pytest.mark.parametrize("first", ["logging", "logging.handlers", "asyncio"])
def test_forwarding_begins_when_logging_is_first_imported(first: str) -> None:
    """A worker that never logs does not pay for it; one that does has the module as ever."""
    program = FIRST_IMPORT.format(path=sys.path, first=first)
    # Without site: that of a test environment may import half the standard library.
    command = [sys.executable, "-S", "-c", program]
    output = subprocess.run(command, capture_output=True, text=True, check=False)
    assert output.returncode == 0, output.stderr
    seen = json.loads(output.stdout)
    assert seen["messages"] == ["hello"]
    assert seen["loader"] == seen["spec_loader"] == "SourceFileLoader"
    assert seen["again"]
