"""What the tests of large payloads run in worker processes. Light: workers import it."""

from __future__ import annotations

import os

from tests.children import Gate, first_time, kill_self

TYPE_CHECKING = False  # as `typing` has it
if TYPE_CHECKING:
    from typing import Any

_kept: list[Any] = []


def describe(value: Any) -> tuple[Any, ...]:
    """Return what an array is like: writable, owner of its memory, aligned, its address modulo 64."""
    flags = value.flags
    address = value.__array_interface__["data"][0]
    return flags.writeable, flags.owndata, flags.aligned, address % 64


def write_first(array: Any) -> Any:
    """Change the first number and give the array back."""
    array[0] = -1
    return array


def try_to_write(array: Any) -> str:
    try:
        array[0] = -1
    except ValueError as error:
        return str(error)
    return "written"


def same(value: Any, *_: Any) -> Any:
    return value


def share_and_hold(value: Any) -> Any:
    """Share an object for as long as this process lives; return it as such."""
    from workpool import share

    _kept.append(share(value))
    return _kept[-1]


def are_mapped(arrays: list[Any], *_: Any) -> list[bool]:
    """Say of arrays whether they are read-only, and their memory that of a shared object."""
    import re

    with open("/proc/self/maps") as file:  # noqa: PTH123 - workers do without pathlib
        spans = re.findall(r"(\w+)-(\w+) r--s .*/memfd:workpool-shared", file.read())
    mapped = [range(int(start, 16), int(end, 16)) for start, end in spans]
    addresses = [array.__array_interface__["data"][0] for array in arrays]
    return [
        not array.flags.writeable and any(address in span for span in mapped)
        for array, address in zip(arrays, addresses, strict=True)
    ]


def keep(value: Any) -> int:
    """Hold something beyond the end of its task."""
    _kept.append(value)
    return len(_kept)


def let_go(*_: Any) -> list[Any]:
    """Return what is held, and hold it no more."""
    held = _kept.copy()
    _kept.clear()
    return held


def first_number(array: Any, *_: Any) -> float:
    return float(array[0])


def pass_and_take(gate: Gate, array: Any) -> tuple[int, float]:
    """Wait at the gate, then return this process and the array's first number."""
    return gate.pass_through(), float(array[0])


def die_the_first_time(path: str, array: Any) -> float:
    if first_time(path):
        kill_self(9)
    return float(array[0])


def fail_the_first_time(path: str, array: Any) -> float:
    if first_time(path):
        raise ValueError("not yet")
    return float(array[0])


def put_into(values: dict[str, Any]) -> list[str]:
    """Write into a shared object that is no buffer; return its keys as they were."""
    keys = sorted(values)
    values[str(os.getpid())] = True
    return keys


def identity_of(value: Any) -> int:
    return id(value)


def shared_mappings(*_: Any) -> list[str]:
    """Return this process's mappings of shared objects, by their file's number."""
    import re

    with open("/proc/self/maps") as file:  # noqa: PTH123 - workers do without pathlib
        return re.findall(r"(\d+) +/memfd:workpool-shared", file.read())


def filled(number: int, size: int) -> bytes:
    return bytes([number]) * size


def raise_long(_client: Any, size: int) -> None:
    raise ValueError("y" * size)


def post_notes(client: Any, notes: list[bytes]) -> None:
    for note in notes:
        client.post_message_to_pool("note", note)


def post_from_threads(client: Any, threads: int, count: int) -> None:
    """Post messages of many sizes from several threads at a time."""
    import threading

    def post(letter: bytes) -> None:
        for number in range(count):
            client.post_message_to_pool("note", letter * (5000 + 977 * number))

    posting = [threading.Thread(target=post, args=(bytes([n]),)) for n in range(threads)]
    for thread in posting:
        thread.start()
    for thread in posting:
        thread.join()


class NoWayBack:
    """What can be pickled in a worker, and not be read in the pool."""

    def __reduce__(self) -> Any:
        return refuse, (b"x",)


def refuse(_: bytes) -> None:
    raise ValueError("there is no way back")


def unreadable(size: int) -> list[Any]:
    return [b"x" * size, NoWayBack()]


async def same_async(value: Any) -> Any:
    return value
