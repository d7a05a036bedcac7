"""Which tests stay together. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence

from workpool.pytest_plugin._collection import Place


class Group:
    """Tests that share what is costly to set up, in their order."""

    __slots__ = ("cluster", "key", "may_split", "moved_from", "tests")

    def __init__(
        self, key: Hashable, cluster: str, tests: Sequence[int], *, may_split: bool
    ) -> None:
        self.key = key
        self.cluster = cluster
        """Groups of one cluster share something as well."""
        self.tests = deque(tests)
        """What is left of it; tests are numbers."""
        self.may_split = may_split
        self.moved_from: Group | None = None
        """The group of which this is what another worker was given."""

    def __repr__(self) -> str:
        return f"Group({self.key!r}, {len(self.tests)} tests)"


def make_groups(
    places: Sequence[Place], place_numbers: Sequence[int], scope: str, *, keeps_order: bool = False
) -> tuple[list[Group], list[int]]:
    """Return the groups, in the order of their first tests, and the tests that must run alone.

    If the order is to be kept, tests of a group that may be split are one only where they are neighbours.
    """
    groups: list[Group] = []
    open_groups: dict[Hashable, Group] = {}
    alone = []
    last: Hashable = None
    keys = [_key(place, scope) for place in places]
    for test, number in enumerate(place_numbers):
        place, key = places[number], keys[number]
        if place.serial == "":
            alone.append(test)
            continue
        if key is None:
            key = ("test", test)
        group = open_groups.get(key)
        if group is None or (keeps_order and group.may_split and key != last):
            splits = scope == "auto" and key[0] == "module"
            group = open_groups[key] = Group(key, place.cluster, (), may_split=splits)
            groups.append(group)
        group.tests.append(test)
        last = key
    return groups, alone


def _key(place: Place, scope: str) -> tuple[object, ...] | None:
    """Return what the tests of a group have in common; None for a test on its own."""
    if place.serial:
        return ("serial", place.serial)
    if place.group and scope in ("auto", "group"):
        return ("group", place.group)
    if scope in ("test", "group"):
        return None
    if scope == "class":
        return ("class", place.class_ or place.module)
    if scope == "module":
        return ("module", place.module)
    return ("module", place.cluster, place.module)
