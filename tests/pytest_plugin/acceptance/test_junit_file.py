"""What tests add to the file of --junitxml is in it, as in a serial run."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections import Counter

import pytest

from tests.pytest_plugin.acceptance.inner import Inner

SUITE = """
    import pytest

    @pytest.fixture(scope="session", autouse=True)
    def suite(record_testsuite_property):
        record_testsuite_property("ARCH", "PPC")
        record_testsuite_property("size", 3)
        yield
        record_testsuite_property("ended", "well")
    @pytest.fixture
    def ends_late(record_xml_attribute):
        yield
        record_xml_attribute("late", "yes")
    def test_passes(record_xml_attribute, record_property):
        record_xml_attribute("assertions", 7)
        record_xml_attribute("name", "renamed")
        record_property("key", "<value>")
    def test_fails(record_xml_attribute, ends_late):
        record_xml_attribute("assertions", "8")
        assert 0
    @pytest.mark.parametrize("n", range(2))
    def test_parameters(n, record_xml_attribute): record_xml_attribute("n", n)
"""

DIFFERS = ("time", "timestamp", "hostname")


def told(file: str) -> Counter[object]:
    """Return the elements of the file, each with what is in it, times left out."""
    return Counter(
        (
            element.tag,
            tuple(sorted((k, v) for k, v in element.attrib.items() if k not in DIFFERS)),
        )
        for element in ElementTree.parse(file).iter()
    )


@pytest.mark.parametrize("family", ["xunit1", "xunit2"])
def test_additions_to_the_file(inner: Inner, family: str) -> None:
    """Properties of the suite are there once, attributes and warnings with their tests."""
    inner.write("test_adds.py", SUITE)
    file = f"{inner.path.parent}/{inner.path.name}.xml"
    arguments = ("-p", "no:cacheprovider", "--tb=no", "-o", f"junit_family={family}")
    serial = inner.serial(*arguments)
    expected = told(file)
    parallel = inner.workpool(*arguments)
    assert told(file) == expected
    assert parallel.counts == serial.counts
    assert parallel.counts["warnings"] == (4 if family == "xunit1" else 9)
    text = inner.path.parent.joinpath(f"{inner.path.name}.xml").read_text()
    assert text.count('name="ARCH"') == text.count('name="ended"') == 1
    assert ('late="yes"' in text) == (family == "xunit1")
