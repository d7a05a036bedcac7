"""The wire format of a channel: one JSON object per line. Pure; described in docs/channels.md.

    {"type": "resize", "content": {"width": 80}}                  a message
    {"type": "double", "content": 21, "request": 1}               a request, numbered by the asker
    {"answer": 1, "content": 42}                                  its answer
    {"answer": 1, "error": {"type": "ValueError", "message": "..."}}

Between Python processes that agreed on it, ``"pickled"`` (base64) may stand for ``"content"``.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from traceback import format_exception
from typing import Any, NamedTuple

from workpool._serialization import brief, dumps, loads
from workpool.errors import RequestFailed, SerializationError, WorkerTraceback

DESCRIPTOR_VARIABLE = "WORKPOOL_CHANNEL_FD"
FORMAT_VARIABLE = "WORKPOOL_CHANNEL_FORMAT"
LINE_LIMIT_VARIABLE = "WORKPOOL_CHANNEL_LINE_LIMIT"

LINE_LIMIT = 1 << 24
"""Bytes of the longest line, unless told otherwise: whatever a line holds is in memory three times."""

LEAST_LINE_LIMIT = 1 << 12
_LONGEST_TOLD = 1 << 14
"""Characters of an error's text or traceback that are sent."""

NO_HANDLER = "NoHandler"
"""The type of error with which a request is answered that nobody listens for."""

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
# ASCII only, the default: nothing in a line looks like an end of line to any reader.


class Malformed(ValueError):
    """A line that cannot be one of the format; its text says why."""


class Message(NamedTuple):
    """A message, or a request if it has a number."""

    type: str
    number: int | str | None
    fields: dict[str, Any]


class Answer(NamedTuple):
    """What the other side says to a request of ours."""

    number: object
    fields: dict[str, Any]


class LineFormat:
    """Writes and reads the lines of one side of a channel (`side`: ``"parent"`` or ``"child"``)."""

    def __init__(self, side: str, *, pickled: bool = False, line_limit: int = LINE_LIMIT) -> None:
        self.side = side
        self.pickled = pickled
        self.line_limit = line_limit

    def message(self, kind: str, content: object) -> bytes:
        """Return the line of a message. Raises `SerializationError`, as all that write do."""
        return self._line({"type": kind}, content, f"content of {kind!r}")

    def request(self, kind: str, content: object, number: int) -> bytes:
        """Return the line of a request."""
        return self._line({"type": kind, "request": number}, content, f"content of {kind!r}")

    def answer(self, number: int | str, kind: str, content: object) -> bytes:
        """Return the line that answers a request of this type."""
        return self._line({"answer": number}, content, f"answer to {kind!r}")

    def failure(self, number: int | str, error: BaseException) -> bytes:
        """Return the line that answers a request with an error."""
        told = {"type": _type_name(error), "message": _text(error), "traceback": _traceback(error)}
        head = {"answer": number, "error": {key: self._cut(text) for key, text in told.items()}}
        if self.pickled and isinstance(error, Exception):
            try:
                return self._line(head, error, "error")
            except SerializationError:
                pass  # it goes as text
        return self._checked(_encode(head), "error")

    def no_handler(self, number: int | str, kind: str, known: list[str]) -> bytes:
        """Return the line that answers a request nobody listens for."""
        listened = ", ".join(map(repr, known)) if known else "no type at all"
        text = f"nobody listens for {kind!r} in the {self.side}, which listens for {listened}"
        head = {"answer": number, "error": {"type": NO_HANDLER, "message": self._cut(text)}}
        return self._checked(_encode(head), "error")

    def read(self, line: bytes) -> Message | Answer:
        """Return what a line says. Raises `Malformed`."""
        if len(line) > self.line_limit:
            raise Malformed(f"is longer than the {self.line_limit} bytes of line_limit")
        try:
            fields = json.loads(line.decode())
        except (ValueError, RecursionError) as error:
            raise Malformed(f"is not JSON ({error})") from None
        if not isinstance(fields, dict):
            raise Malformed("is JSON, but no object")
        if "pickled" in fields and not self.pickled:
            raise Malformed("has pickled content, which the parent did not ask for (pickled=True)")
        if "answer" in fields:
            return Answer(fields["answer"], fields)
        return _message(fields)

    def content(self, fields: dict[str, Any], subject: str) -> Any:
        """Return the content of a message or answer. Raises `SerializationError`."""
        if "pickled" not in fields:
            return fields.get("content")
        return self._unpickled(fields["pickled"], subject)

    def error(self, fields: dict[str, Any], kind: str) -> Exception | None:
        """Return the error that an answer to a request of type `kind` carries, or None.

        It is the exception itself if it came pickled and can be unpickled here.
        """
        told = fields.get("error")
        if told is None:
            return None
        told = told if isinstance(told, dict) else {"message": told}
        error = self._revived(fields) or _failure(told, kind)
        if isinstance(told.get("traceback"), str):
            error.__cause__ = WorkerTraceback(told["traceback"])
        return error

    def _cut(self, text: str) -> str:
        """Shorten what is told of an error, so that its line is never too long to be sent."""
        most = min(_LONGEST_TOLD, self.line_limit // 64)
        return text if len(text) <= most else f"{text[: most // 4]}\n...\n{text[-most // 2 :]}"

    def _revived(self, fields: dict[str, Any]) -> Exception | None:
        if "pickled" not in fields:
            return None
        try:
            error = self._unpickled(fields["pickled"], "error")
        except SerializationError:
            return None
        # A future cannot hold a StopIteration.
        usable = isinstance(error, Exception) and not isinstance(error, StopIteration)
        return error if usable else None

    def _unpickled(self, text: object, subject: str) -> Any:
        try:
            data = b64decode(text, validate=True)  # type: ignore[arg-type] # what is wrong is told
        except (TypeError, ValueError) as error:
            raise SerializationError(
                f"the {subject} is no base64: {error}", side=self.side, subject=subject
            ) from error
        return loads(data, side=self.side, subject=subject)

    def _line(self, head: dict[str, Any], content: object, subject: str) -> bytes:
        if self.pickled:
            data = dumps(content, side=self.side, subject=subject)
            return self._checked(_encode({**head, "pickled": b64encode(data).decode()}), subject)
        try:
            text = _encode({**head, "content": content})
        except (TypeError, ValueError, RecursionError) as error:
            raise SerializationError(
                f"the {subject}, {brief(content)}, cannot be expressed in JSON: {error}. Send "
                "what JSON has (text, numbers, lists, mappings by text), or have ParentChannel "
                "start a Python child with pickled=True.",
                side=self.side,
                subject=subject,
            ) from error
        return self._checked(text, subject)

    def _checked(self, text: str, subject: str) -> bytes:
        if len(text) > self.line_limit:
            raise SerializationError(
                f"the {subject} makes a line of {len(text)} bytes, longer than the "
                f"{self.line_limit} of line_limit. Send it in pieces, or the name of a file that "
                "holds it, or give the ParentChannel a higher line_limit.",
                side=self.side,
                subject=subject,
            )
        return text.encode() + b"\n"


class LineSplitter:
    """Cuts a stream into lines; holds at most `limit` bytes of one that has not ended."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that end in this stretch, and the start of one that is too long."""
        *ended, rest = data.split(b"\n")
        if ended:
            ended[0] = b"".join([*self._parts, ended[0]])
            self._parts, self._size = [], 0
        if rest:
            self._parts.append(rest)
            self._size += len(rest)
        return [*ended, self.rest()] if self._size > self._limit else ended

    def rest(self) -> bytes:
        """Take out what has not ended."""
        rest = b"".join(self._parts)
        self._parts, self._size = [], 0
        return rest


def _message(fields: dict[str, Any]) -> Message:
    kind, number = fields.get("type"), fields.get("request")
    if not isinstance(kind, str):
        raise Malformed('has neither a "type" that is text nor an "answer"')
    if number is not None and (isinstance(number, bool) or not isinstance(number, int | str)):
        raise Malformed('has a "request" that is neither a number nor text')
    return Message(kind, number, fields)


def _failure(told: dict[str, Any], kind: str) -> RequestFailed:
    name, text = str(told.get("type") or "Error"), str(told.get("message") or "")
    return RequestFailed(
        f"the request {kind!r} was answered with an error: {name}: {text}",
        error_type=name,
        error_message=text,
    )


def _type_name(error: BaseException) -> str:
    kind = type(error)
    prefix = "" if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}."
    return f"{prefix}{kind.__qualname__}"


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - somebody's __str__
        return "<no message: its __str__ raises>"


def _traceback(error: BaseException) -> str:
    try:
        return "".join(format_exception(error))
    except Exception:  # noqa: BLE001 - somebody's __str__
        return ""
