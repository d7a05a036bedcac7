"""What a worker tells of its collection: which tests there are, and what belongs together."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import pytest

_BROAD_SCOPES = ("session", "package")
_GROUP_MARKS = ("workpool_group", "xdist_group")


class Place(NamedTuple):
    """What a test shares with its neighbours; tests of one place have the same object."""

    cluster: str
    """The parameters it has of fixtures that are broader than a module."""
    module: str
    class_: str
    group: str
    """The names given by marks; empty without."""
    serial: str | None
    """The name of its `serial` mark, "" for one without; None without a mark."""


class Collected(NamedTuple):
    """A collection: nodeids and, for each, the number of its place in `places`."""

    nodeids: list[str]
    place_numbers: list[int]
    places: list[Place]


def digest(nodeids: list[str]) -> bytes:
    """Return what two collections have in common exactly if they are the same, in the same order."""
    return hashlib.sha256("\0".join(nodeids).encode("utf-8", "surrogatepass")).digest()


def describe(items: list[pytest.Item], nodeids: list[str]) -> Collected:
    """Describe the items of a session, whose (unique) nodeids these are."""
    numbers: dict[Place, int] = {}
    of_parent: dict[Any, Place] = {}
    place_numbers = []
    for item in items:
        place = _place_of_item(item, of_parent)
        place_numbers.append(numbers.setdefault(place, len(numbers)))
    return Collected(nodeids, place_numbers, list(numbers))


def unique_nodeids(items: list[pytest.Item]) -> list[str]:
    """Return a name for each item: its nodeid, numbered if there is another one with the same."""
    seen: dict[str, int] = {}
    names = []
    for item in items:
        nodeid = item.nodeid
        count = seen[nodeid] = seen.get(nodeid, 0) + 1
        names.append(nodeid if count == 1 else f"{nodeid}\0{count}")
    return names


def nodeid_of(name: str) -> str:
    """Return the nodeid in a unique name."""
    return name.partition("\0")[0]


def _place_of_item(item: pytest.Item, of_parent: dict[Any, Place]) -> Place:
    parent = item.parent
    place = of_parent.get(parent)
    if place is None:
        place = of_parent[parent] = _place_of_parent(parent)
    cluster = _cluster(item)
    if not cluster and not item.own_markers:
        return place
    return _marked(place._replace(cluster=cluster), item.own_markers, item.nodeid)


def _place_of_parent(node: Any) -> Place:
    module = class_ = ""
    marks: list[pytest.Mark] = []
    for parent in node.listchain() if node is not None else ():
        marks += parent.own_markers
        if isinstance(parent, pytest.File):
            module = parent.nodeid
        elif isinstance(parent, pytest.Class):
            class_ = parent.nodeid
    return _marked(Place("", module, class_, "", None), marks, module)


def _marked(place: Place, marks: list[pytest.Mark], nodeid: str) -> Place:
    names = []
    for mark in marks:
        if mark.name in _GROUP_MARKS:
            names.append(_name_in(mark, nodeid))
        elif mark.name == "serial":
            place = place._replace(serial=_name_in(mark, nodeid))
    if names:
        place = place._replace(group="_".join(sorted({*names})))
    return place


def _name_in(mark: pytest.Mark, nodeid: str) -> str:
    """Return the name that a mark gives, empty if it gives none. Raises `pytest.UsageError` if that makes no sense."""
    if mark.name == "xdist_group":  # which takes anything
        return str(mark.args[0] if mark.args else mark.kwargs.get("name", "default"))
    is_serial = mark.name == "serial"
    try:
        name = (_name_or_none if is_serial else _name)(*mark.args, **mark.kwargs)
    except TypeError:  # too many arguments, too few, or others
        name = 0
    if isinstance(name, str) and name:
        return name
    if name is None and is_serial:
        return ""
    shown = [repr(value) for value in mark.args]
    shown += [f"{key}={value!r}" for key, value in mark.kwargs.items()]
    raise pytest.UsageError(
        f"{nodeid}: the mark {mark.name}({', '.join(shown)}) makes no sense: it takes one name, which is a text"
        f"{', or nothing' if is_serial else ''}"
    )


def _name(name: object) -> object:
    return name


def _name_or_none(name: object = None) -> object:
    return name


def _cluster(item: pytest.Item) -> str:
    callspec = getattr(item, "callspec", None)
    if callspec is None:
        return ""
    scopes = getattr(callspec, "_arg2scope", {})
    broad = [
        f"{name}={callspec.indices[name]}"
        for name, scope in scopes.items()
        if scope.value in _BROAD_SCOPES
    ]
    return ",".join(broad)
