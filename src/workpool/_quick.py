"""CPython's own `pickle`, `signal` and `socket`, without what the modules of these names add.

The library modules wrap the C ones in enums and helpers, and import `enum`, `re` and `selectors` for
that: as much again as a bare interpreter's start. Workers need none of it.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    import pickle
    import signal
    import socket
else:
    import _pickle as pickle
    import _signal as signal
    import _socket as socket

__all__ = ["pickle", "signal", "socket"]
