"""Listeners by type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workpool._messages import Listeners


def handler(name: int) -> Callable[[], int]:
    return lambda: name


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("ab"), st.integers(0, 3))))
def test_listeners_are_lists_in_order_of_registration(
    steps: list[tuple[bool, str, int]],
) -> None:
    """Any adds and removes leave what a list per type would hold."""
    listeners, handlers = Listeners(), [handler(name) for name in range(4)]
    model: dict[str, list[Any]] = {"a": [], "b": []}
    for is_add, kind, name in steps:
        if is_add:
            listeners.add(kind, handlers[name])
            model[kind].append(handlers[name])
        elif handlers[name] in model[kind]:
            listeners.remove(kind, handlers[name])
            model[kind].remove(handlers[name])
        else:
            with pytest.raises(ValueError, match=kind):
                listeners.remove(kind, handlers[name])
    assert {kind: list(listeners.of(kind)) for kind in model} == model


def test_a_handler_may_remove_itself_while_it_is_called() -> None:
    """What is being gone through does not change."""
    listeners = Listeners()
    calls: list[str] = []

    def once() -> None:
        calls.append("once")
        listeners.remove("kind", once)

    listeners.add("kind", once)
    listeners.add("kind", lambda: calls.append("always"))
    for _ in range(2):
        for each in listeners.of("kind"):
            each()
    assert calls == ["once", "always", "always"]


def test_a_bound_method_can_be_taken_back() -> None:
    """Two looks at a method are two objects, and yet one handler."""
    listeners, calls = Listeners(), []  # type: ignore[var-annotated]
    listeners.add("kind", calls.append)
    listeners.remove("kind", calls.append)
    assert listeners.of("kind") == ()


def test_what_cannot_be_called_is_no_handler() -> None:
    """The mistake is told where it is made, not when the message comes."""
    with pytest.raises(TypeError, match="callable"):
        Listeners().add("kind", 3)  # type: ignore[arg-type]
