"""Answering the pool's requests: what a message handler returns goes back."""

from __future__ import annotations

from types import CoroutineType

from workpool._serialization import dumps, loads, pack_error
from workpool.errors import RequestFailed, SerializationError, TaskCancelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from workpool._worker.client import WorkerClient

REQUEST, ANSWER = "\0request", "\0answer"
"""Types of message that no user has."""


def answer(request: tuple[int, str, bytes], client: WorkerClient) -> Any:
    """Call the handler of a request's type and send its answer, or return a coroutine that does.

    The handler registered first answers. What it raises is the answer too.
    """
    number, kind, body = request
    handlers = client.handlers(kind)
    if not handlers:
        missing = RequestFailed(
            f"worker {client.worker_id} has no handler for the request {kind!r}: register one with "
            "client.on_message",
            error_type="NoHandler",
        )
        _send(client, number, missing, went_well=False)
        return None
    try:
        content = loads(body, side="worker", subject="request")
        value = handlers[0](content, client)
    except TaskCancelled:
        raise  # meant for the task that looks at its messages
    except Exception as error:  # noqa: BLE001 - the user's handler; its error is the answer
        _send(client, number, error, went_well=False)
        return None
    if isinstance(value, CoroutineType):
        return _answer_later(value, number, client)
    _send(client, number, value, went_well=True)
    return None


async def _answer_later(value: Coroutine[Any, Any, Any], number: int, client: WorkerClient) -> None:
    try:
        result = await value
    except Exception as error:  # noqa: BLE001 - as above
        _send(client, number, error, went_well=False)
    else:
        _send(client, number, result, went_well=True)


def _send(client: WorkerClient, number: int, value: Any, *, went_well: bool) -> None:
    # Pickled by itself, so that one that cannot be read there is known to be the answer to this.
    try:
        body = dumps(value, side="worker", subject="answer") if went_well else _packed(value)
    except SerializationError as error:
        went_well, body = False, _packed(error)
    client.post_message_to_pool(ANSWER, (number, went_well, body))


def _packed(error: BaseException) -> bytes:
    return pack_error(error, side="worker")
