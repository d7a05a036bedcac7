"""Answers to the other side's requests, no faster than it reads them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from workpool.channels._lines import LineFormat, Message
from workpool.channels._link import Link
from workpool.errors import SerializationError


class Responder:
    """Writes answers; those for which there is no room wait, and count as held meanwhile."""

    link: Link
    hold: Callable[[Coroutine[Any, Any, None], int], None]
    """Does some work later, holding so many bytes until then."""

    def __init__(self, line_format: LineFormat) -> None:
        self._format = line_format

    def answer(self, message: Message, content: Any) -> None:
        """Answer a request; nothing happens for a message."""
        if message.number is None:
            return
        try:
            line = self._format.answer(message.number, message.type, content)
        except SerializationError as error:
            line = self._format.failure(message.number, error)
        self._write(line)

    def fail(self, message: Message, error: BaseException) -> None:
        """Answer a request with an error; nothing happens for a message."""
        if message.number is not None:
            self._write(self._format.failure(message.number, error))

    def nobody_listens(self, message: Message, known: list[str]) -> None:
        """Say to a request that only the types `known` are listened for."""
        if message.number is not None:
            self._write(self._format.no_handler(message.number, message.type, known))

    def _write(self, line: bytes) -> None:
        if self.link.is_full:
            self.hold(self._write_later(line), len(line))
        else:
            self.link.write(line)

    async def _write_later(self, line: bytes) -> None:
        await self.link.room()
        self.link.write(line)
