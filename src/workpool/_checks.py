"""Checks of what users give, where they give it: one clear sentence for what is wrong. Pure."""

from __future__ import annotations

from numbers import Integral, Real

from workpool._serialization import brief


def check_count(option: str, value: object, *, at_least: int) -> None:
    """Check that an option is a whole number of at least so much."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{option} must be a whole number, not {value!r}")
    if int(value) < at_least:
        raise ValueError(f"{option} must be at least {at_least}, not {value}")


def check_seconds(option: str, value: object) -> None:
    """Check that an option is a positive number."""
    if not _as_float(option, value) > 0:
        raise ValueError(f"{option} must be above 0 and fit a float, not {brief(value)}")


def check_between(option: str, value: object, least: float, most: float = float("inf")) -> None:
    """Check that an option is a number from `least` to `most`."""
    if not least <= _as_float(option, value) <= most:
        bounds = f"at least {least:g}" if most == float("inf") else f"from {least:g} to {most:g}"
        raise ValueError(f"{option} must be {bounds}, not {brief(value)}")


def check_callable(option: str, value: object) -> None:
    """Check that an option is a function, or None."""
    if value is not None and not callable(value):
        raise TypeError(f"{option} must be a function, not {value!r}")


def check_source(source: object) -> None:
    """Check that a source can be read."""
    kind = type(source)
    if not any(hasattr(kind, name) for name in ("__iter__", "__aiter__", "__getitem__")):
        raise TypeError(
            f"a source must be an iterable or an async iterable, not {brief(source)}"
            + (": call it, if it is a generator function" if callable(source) else "")
        )


def _as_float(option: str, value: object) -> float:
    """Return a number as a float, NaN if it does not fit one."""
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{option} must be a number, not {brief(value)}")
    try:
        return float(value)
    except OverflowError:
        return float("nan")
