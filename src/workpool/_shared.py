"""`share`: one large object for many tasks, written once and mapped by every worker."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from pickle import PickleBuffer
from threading import RLock, local
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar
from weakref import WeakSet

from workpool._attached import TAG_BYTES, attached, copied, forget, map_shared, unpickled
from workpool._contiguous import array_reducer
from workpool._serialization import OUT_OF_BAND_BYTES, Serializer
from workpool._system.memory import Layout
from workpool._system.shortage import explained
from workpool.errors import SerializationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workpool._attached import Parts

ValueT = TypeVar("ValueT")


class _Pool(Protocol):
    def forget_shared(self, tag: bytes) -> None:
        """Tell all workers; from any thread, never waiting."""
        ...


_pools: WeakSet[_Pool] = WeakSet()
_pools_lock = RLock()  # a collection may end a shared object while this thread adds a pool


def share(value: ValueT) -> Shared[ValueT]:
    """Write an object to memory that all workers can map, for many tasks that take it.

    Pass what this returns to any task, alone or within its argument: the task gets the object itself,
    with large buffers (numpy arrays, pyarrow tables, memoryviews) mapped and read-only, everything
    else made anew for each task. Arrays that are not contiguous are made so. Shared objects within it
    are kept open as long as it is open. Blocks while it writes; any thread may call it. Raises
    `SerializationError` if the object cannot be pickled, `OSError` if there is no memory or
    descriptor for it.
    """
    return Shared(value)


class Shared(Generic[ValueT]):
    """An object in shared memory; made by `share`.

    The memory is given back when this is closed or garbage collected and no task uses it any more. A
    task holds its argument until it has ended, so one that is added is never too late, unless this
    is closed before. Nothing is left behind, however any process ends. Any thread may use it.
    """

    def __init__(self, value: ValueT) -> None:
        self._descriptor = -1
        self._was_sent = False
        self._tag = os.urandom(TAG_BYTES)
        serializer = Serializer("pool", array_reducer(OUT_OF_BAND_BYTES))
        with _shared_within() as within:
            data = serializer.dumps_in_pieces(value, "shared object")
        self._within = within  # nobody else may hold them
        layout = Layout(data, [self._tag, *serializer.take_buffers()])
        self.nbytes = layout.size
        """Bytes of memory it takes, once for all."""
        try:
            self._descriptor = layout.write_to_new_file("shared")
        except OSError as error:
            what = f"an object of {layout.size:,} bytes could not be shared"
            raise explained(error, what) from error

    @property
    def closed(self) -> bool:
        """Whether no task can take it any more."""
        return self._descriptor < 0

    def get(self) -> ValueT:
        """Return the object as tasks get it, read-only where it is mapped.

        What is mapped stays so until the last of it is let go of, also when this is closed. Raises
        `SerializationError` when it is closed already, `OSError` if there is no descriptor left.
        """
        value: ValueT = unpickled(*self._map())
        return value

    def close(self) -> None:
        """Give the memory back. Tasks that have the object keep it; those that have not begun fail.

        Closing twice does no harm.
        """
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        os.close(descriptor)
        self._within = []
        if self._was_sent:
            forget(self._tag)
            with _pools_lock:
                pools = list(_pools)
            for pool in pools:
                pool.forget_shared(self._tag)

    def __enter__(self) -> Self:
        """Raise `SerializationError` when it is closed already."""
        if self.closed:
            raise _closed()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # the interpreter may be ending
            self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        descriptor = self._descriptor
        if descriptor < 0:
            raise _closed()
        if not _others_may_open():
            data, buffers = self._map()
            return copied, tuple(map(PickleBuffer, (data, *buffers)))
        self._was_sent = True
        if _pickling.found is not None:
            _pickling.found.append(self)
        return attached, (os.getpid(), descriptor, self._tag, bool(_pools))

    def __repr__(self) -> str:
        return f"<Shared {'closed' if self.closed else f'{self.nbytes} bytes'}>"

    def _map(self) -> Parts:
        if self._descriptor < 0:
            raise _closed()
        try:
            parts = map_shared(os.dup(self._descriptor), self._tag)
        except OSError as error:
            raise explained(error, "a shared object could not be mapped") from error
        assert parts is not None
        return parts


class _Pickling(local):
    """What a thread has found while it pickles an object that is to be shared."""

    found: list[Shared[Any]] | None = None


_pickling = _Pickling()


@contextlib.contextmanager
def _shared_within() -> Iterator[list[Shared[Any]]]:
    """Collect the shared objects that this thread pickles meanwhile."""
    before = _pickling.found
    found: list[Shared[Any]] = []
    _pickling.found = found
    try:
        yield found
    finally:
        _pickling.found = before


def watch(pool: _Pool) -> None:
    """Have a pool told of shared objects that are closed, as long as it lives."""
    with _pools_lock:
        _pools.add(pool)


def _others_may_open() -> bool:
    """Whether workers may open what this process has; not if it has changed its user, for example."""
    try:
        return Path("/proc/self/fd").stat().st_uid == os.geteuid()
    except OSError:
        return False


def _closed() -> SerializationError:
    return SerializationError(
        "the shared object is closed. Add tasks that take it before its 'close()', or the end of its "
        "'with' block, and wait for them there.",
        subject="shared object",
    )
