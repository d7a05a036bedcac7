"""The life of a template that was forked from the pool's process, up to where it is like any other.

It never returns to what the process was doing when it was forked: it ends here, and its workers too.
"""

from __future__ import annotations

import os
import sys

from workpool._quick import signal, socket
from workpool._system.handover import take_over

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn


def be_template(control: int, liveness: int, imports: list[str]) -> NoReturn:
    """Get ready, wait for the pool, and be its template; in a worker that it forks, be that."""
    status = 1
    try:
        _stand_alone([control, liveness])
        _import_all(imports)
        _serve(control, liveness)
        status = 0
    except BaseException:  # noqa: BLE001 - whatever it is, nobody above is to have it
        from workpool._worker.hooks import print_traceback

        print_traceback()
    finally:
        _end(status)


def _stand_alone(ours: list[int]) -> None:
    """Keep what a program that is started would have: no input, and no descriptors from further up.

    What happens here is none of the program's business: neither signals nor the end.
    """
    import gc

    gc.freeze()  # pages that the collector does not write to stay shared
    signal.set_wakeup_fd(-1)  # it is the program's event loop that would hear of them
    _forget_exit_handlers()
    os.dup2(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), 0)
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        try:
            if descriptor > 2 and descriptor not in ours and os.get_inheritable(descriptor):
                os.close(descriptor)
        except OSError:
            pass  # that of the listing itself


def _forget_exit_handlers() -> None:
    """Leave to the program what it wants done at its end: the removal of its temporary files, say."""
    import atexit

    clear: Any = getattr(atexit, "_clear")  # noqa: B009 - it has no public name
    clear()
    weakref: Any = sys.modules.get("weakref")
    if weakref is not None:
        for finalizer in [*weakref.finalize._registry]:
            finalizer.atexit = False
        weakref.finalize._registered_with_atexit = False  # so that the next one registers it anew


def _import_all(names: list[str]) -> None:
    """Import what workers will need. What goes wrong they find again, and report."""
    import contextlib
    import gc
    import importlib

    for name in ("workpool._worker.template", *names):
        with contextlib.suppress(BaseException):  # it is the user's module
            importlib.import_module(name)
    gc.collect()
    gc.freeze()


def _serve(control: int, liveness: int) -> None:
    from workpool._worker.template import main

    channel = socket.socket(fileno=control)
    numbers_here = take_over(channel)
    channel.detach()
    if numbers_here is not None:
        main(control, liveness, numbers_here)


def _end(status: int) -> NoReturn:
    """End as an interpreter does that has come to the end of its program."""
    import atexit
    import threading

    from workpool._worker.boot import flush

    try:
        shut_down: Any = getattr(threading, "_shutdown")  # noqa: B009 - it has no public name
        shut_down()
        run_handlers: Any = getattr(atexit, "_run_exitfuncs")  # noqa: B009 - as above
        run_handlers()
    finally:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                flush(stream)
        os._exit(status)
