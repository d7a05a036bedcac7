"""The command line of workpool: ``workpool map SPEC [INPUT...]``.

Importing this package imports nothing but the standard library: the libraries of the extra
``cli`` are looked for when :func:`main` runs, so that their absence is one sentence and not a
traceback.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]

_NEEDED = ("click", "rich")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    `argv` are the arguments after the program's name; without it those of this process are taken.
    The status is 0 when every input succeeded, 1 when one failed, 2 when the command itself was
    wrong, 128 plus the signal's number when a signal ended it. Errors are sentences on standard
    error; nothing is raised. Must be called in the main thread, outside any event loop.
    """
    try:
        if missing := _missing():
            sys.stderr.write(
                f"workpool: the command line needs {' and '.join(missing)}, not installed here; "
                "install what it needs with: python -m pip install 'workpool[cli]'\n"
            )
            return 2
        from workpool.cli._command import run_command

        return run_command(sys.argv[1:] if argv is None else list(argv))
    except KeyboardInterrupt:  # Ctrl-C before the job watches signals: nothing has been done yet
        return 130


def _missing() -> list[str]:
    # Imported here, where a Ctrl-C during the import is caught.
    from importlib.util import find_spec

    return [name for name in _NEEDED if find_spec(name) is None]
