"""What tests add to the file of ``--junitxml``: noted in the workers, written by the controller.

pytest writes the file in one process, and finds nothing to add to in another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from xml.etree.ElementTree import Element

import pytest
from _pytest.junitxml import xml_key

ATTRIBUTES = "workpool_xml_attributes"
"""On a report: attributes of its test, with their values as text."""

Pairs = list[tuple[str, str]]


class JunitNotes:
    """Stands, in a worker, where pytest keeps what it writes to the file."""

    def __init__(self, family: str) -> None:
        self.family = "xunit1" if family == "legacy" else family
        self._suite: Pairs = []
        self._attributes: dict[Any, Pairs] = {}

    def node_reporter(self, report: Any) -> _TestNotes:
        """Return what takes in attributes of a test."""
        return _TestNotes(self._attributes.setdefault(str(getattr(report, "nodeid", report)), []))

    def add_global_property(self, name: str, value: object) -> None:
        """Note a property of the whole suite."""
        self._suite.append((str(name), str(value)))

    def add_to(self, report: Any) -> None:
        """Put what was noted of a test since its last report into this one."""
        if self._attributes and (noted := self._attributes.get(report.nodeid)):
            vars(report)[ATTRIBUTES] = noted.copy()
            noted.clear()

    def take_suite(self) -> Pairs:
        """Return the properties of the whole suite."""
        noted, self._suite = self._suite, []
        return noted


class _TestNotes:
    """Of one test."""

    def __init__(self, attributes: Pairs) -> None:
        self._attributes = attributes

    def add_attribute(self, name: str, value: object) -> None:
        """Note an attribute."""
        self._attributes.append((str(name), str(value)))


def note_for_junit(config: pytest.Config) -> JunitNotes | None:
    """Note what tests add from now on, if the file is to be written."""
    if not getattr(config.option, "xmlpath", None):
        return None
    notes = JunitNotes(config.getini("junit_family"))
    stash: Any = config.stash
    stash[xml_key] = notes
    return notes


def forget_junit(config: pytest.Config) -> None:
    """Take the stand-in away: pytest would unregister it, which was never registered."""
    if isinstance(config.stash.get(xml_key, None), JunitNotes):
        del config.stash[xml_key]


class JunitFile:
    """The controller's side."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._suite: set[tuple[str, str]] = set()

    @property
    def _xml(self) -> Any:
        return self._config.stash.get(xml_key, None)

    def take_attributes(self, report: Any) -> None:
        """Give a test the attributes that came with its report."""
        for name, value in vars(report).pop(ATTRIBUTES, ()):
            if self._xml is not None:
                self._xml.node_reporter(report).add_attribute(name, value)

    def take_suite(self, properties: Iterable[tuple[str, str]]) -> None:
        """Give the suite properties: once, if several workers have the same."""
        for name, value in properties:
            if self._xml is not None and (name, value) not in self._suite:
                self._suite.add((name, value))
                self._xml.add_global_property(name, value)

    @contextmanager
    def joining(self, report: pytest.TestReport) -> Iterator[None]:
        """Have a tear-down that is reported after its test written as if it had been reported with it."""
        xml = self._xml
        if xml is None:
            yield
            return
        doubles, late = xml.cnt_double_fail_tests, xml.node_reporter(report)
        yield
        former = self._former(late)
        if former is None:
            return
        if former.find("failure") is not None:  # pytest writes a failure and an error apart
            xml.cnt_double_fail_tests = doubles + 1
            return
        former.extend(child for child in late.to_xml() if child.tag != "properties")
        xml.node_reporters_ordered.remove(late)

    def _former(self, late: Any) -> Element | None:
        """Return what is to be written of the test that this is about."""
        written = late.to_xml()
        for node in reversed(self._xml.node_reporters_ordered):
            element: Element = node.to_xml()
            if node is not late and _is_same_test(element, written):
                return element
        return None


def _is_same_test(one: Element, other: Element) -> bool:
    return all(one.get(name) == other.get(name) for name in ("classname", "name", "file"))
