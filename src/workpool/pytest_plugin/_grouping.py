"""Which tests stay together. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Sequence

from workpool.pytest_plugin._collection import Place


class Group:
    """Tests that share what is costly to set up, in their order."""

    __slots__ = ("cluster", "home", "key", "may_split", "moved_from", "steps", "tests")

    def __init__(
        self, key: Hashable, cluster: str, tests: Iterable[int], *, may_split: bool, home: str = ""
    ) -> None:
        self.key = key
        self.home = home
        """Whose fixtures its tests share; see `home_of`."""
        self.steps: set[int] = set()
        """Tests of classes: one may be a step to the next."""
        self.cluster = cluster
        """Groups of one cluster share something as well."""
        self.tests = deque(tests)
        """What is left of it; tests are numbers."""
        self.may_split = may_split
        self.moved_from: Group | None = None
        """The group of which this is what another worker was given."""

    def part(self, tests: Iterable[int]) -> Group:
        """Return a group of some of its tests."""
        return Group(self.key, self.cluster, tests, may_split=self.may_split, home=self.home)

    def __repr__(self) -> str:
        return f"Group({self.key!r}, {len(self.tests)} tests)"


def home_of(place: Place) -> str:
    """Return whose fixtures the tests of a place share: its module's, with the parameters of broader ones."""
    return f"{place.module} {place.cluster}".rstrip()


def make_groups(
    places: Sequence[Place],
    place_numbers: Sequence[int],
    scope: str,
    *,
    keeps_order: bool = False,
    is_serial: bool = False,
) -> tuple[list[Group], list[int]]:
    """Return the groups, in the order of their first tests, and the tests that must run alone.

    If the order is to be kept, tests of a group that may be split are one only where they are neighbours. So
    are all if the run `is_serial`, in one worker: then none must run alone, for all do.
    """
    groups: list[Group] = []
    open_groups: dict[Hashable, Group] = {}
    alone = []
    last: Hashable = None
    keys = [_key(place, scope) for place in places]
    for test, number in enumerate(place_numbers):
        place, key = places[number], keys[number]
        if place.serial == "" and not is_serial:
            alone.append(test)
            continue
        if key is None:
            key = ("test", test)
        group = open_groups.get(key)
        parts = is_serial or (keeps_order and group is not None and group.may_split)
        if group is None or (parts and key != last):
            splits = scope == "auto" and key[0] == "module"
            home = home_of(place)
            group = open_groups[key] = Group(key, place.cluster, (), may_split=splits, home=home)
            groups.append(group)
        group.tests.append(test)
        if place.class_:
            group.steps.add(test)
        last = key
    return groups, alone


def _key(place: Place, scope: str) -> tuple[object, ...] | None:
    """Return what the tests of a group have in common; None for a test on its own. Marks go before the scope."""
    if place.serial:
        return ("serial", place.serial)
    if place.group:
        return ("group", place.group)
    if scope in ("test", "group"):
        return None
    if scope == "class":
        return ("class", place.class_ or place.module)
    if scope == "module":
        return ("module", place.module)
    return ("module", place.cluster, place.module)
