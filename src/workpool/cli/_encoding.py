"""From results and errors to lines of JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence, Set

__all__ = ["ResultNotJSONError", "encode_error", "encode_result"]


class ResultNotJSONError(Exception):
    """A task returned what JSON has no way to say."""


def encode_result(result: object) -> bytes:
    """Return the line of a result, with its newline.

    What has one obvious JSON form is converted: dataclasses and mappings to objects; sets (sorted,
    where they can be) and other sequences to arrays; paths, dates, UUIDs and decimals to strings;
    enum members to their values; arrays and scalars of NumPy to numbers. Raises ResultNotJSONError for
    the rest, bytes and NaN among them: a guess would be wrong for somebody without a word.
    """
    try:
        return _encode(result)
    except Exception as error:  # noqa: BLE001 - a conversion runs code of the result's own class
        raise ResultNotJSONError(_why_not(result, error)) from None


def encode_error(error: BaseException, value: object) -> bytes:
    """Return the error record of a failed input. Never fails."""
    described = {"type": type(error).__name__, "message": _message(error)}
    try:
        return _encode({"error": described, "input": value})
    except Exception:  # noqa: BLE001 - nested too deep for the encoder, though not for the parser
        return _encode({"error": described, "input": None})


def _encode(value: object) -> bytes:
    try:
        return _readable(value).encode() + b"\n"
    except UnicodeEncodeError:  # surrogates: a file name that is not UTF-8
        return _escaped(value).encode() + b"\n"


def _convert(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Set):
        return _sorted_if_possible(value)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return list(value)
    return _convert_scalar(value)


def _convert_scalar(value: object) -> object:
    # Imported here: only odd results need them, and every run pays for imports at the top.
    from datetime import date, time
    from decimal import Decimal
    from enum import Enum
    from pathlib import PurePath
    from uuid import UUID

    if isinstance(value, PurePath | UUID | Decimal):
        return str(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    to_list = getattr(value, "tolist", None)  # NumPy's arrays and scalars, without importing it
    if callable(to_list) and not isinstance(value, memoryview):
        return to_list()
    raise TypeError(f"a value of type {type(value).__name__}")


def _sorted_if_possible(values: Set[object]) -> list[object]:
    """Order a set, so that the same result gives the same line on every run."""
    try:
        return sorted(values)  # type: ignore[type-var]  # what cannot be compared says so
    except TypeError:
        return list(values)


def _why_not(result: object, error: Exception) -> str:
    detail = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
    return (
        f"the task returned a {type(result).__name__} that JSON cannot represent ({detail}); "
        "return text, numbers, lists and dicts (bytes as .hex() or base64, NaN as None)"
    )


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - the class is the user's
        return f"<{type(error).__name__} whose message cannot be shown>"


_readable = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_convert).encode
_escaped = json.JSONEncoder(ensure_ascii=True, allow_nan=False, default=_convert).encode
