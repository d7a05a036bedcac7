"""A slot's queue: a pipe of tokens that every worker may read.

Taking one is a single non-blocking read of 16 bytes. The kernel hands out each token once, needs
neither the victim nor the pool for it, and keeps the tokens when their worker dies. The worker
lets the kernel write the token straight into its status record (`readv` into shared memory), so
taking a task and recording who took it are one system call: a SIGKILL cannot come between.
"""

from __future__ import annotations

import fcntl
import os
import struct
import termios

from workpool._frames import TOKEN, TOKENS_PER_WRITE

_LONGEST_WRITE = TOKENS_PER_WRITE * TOKEN.size


class TokenQueue:
    """The pool's side of a slot's queue. Never blocks."""

    def __init__(self) -> None:
        """Raises `OSError`; then nothing is left."""
        self.read_end, self.write_end = os.pipe()
        try:
            os.set_blocking(self.read_end, False)
            os.set_blocking(self.write_end, False)
        except OSError:
            self.close()
            raise

    def push(self, tokens: bytes) -> int:
        """Append tokens; return how many of them went in before the queue was full.

        Raises `OSError` (ENOMEM) if it is not full and none goes in.
        """
        done = 0
        while done < len(tokens):
            some = tokens[done : done + _LONGEST_WRITE]
            try:
                os.write(self.write_end, some)
            except BlockingIOError:
                # All or nothing: the last few places are filled one at a time.
                done += self._push_singly(some)
                break
            except OSError:
                if not done:
                    raise
                break
            done += len(some)
        return done // TOKEN.size

    def waiting(self) -> int:
        """Return how many tokens nobody has taken yet; 1 if that cannot be known, so that somebody looks."""
        try:
            size = fcntl.ioctl(self.read_end, termios.FIONREAD, b"\0\0\0\0")
        except OSError:
            return 1
        return int(struct.unpack("i", size)[0]) // TOKEN.size

    def drain(self) -> list[tuple[int, int, int]]:
        """Take all tokens out, oldest first: (attempt, offset, length) each."""
        taken: list[tuple[int, int, int]] = []
        while True:
            try:
                data = os.read(self.read_end, TOKEN.size * TOKENS_PER_WRITE)
            except BlockingIOError:
                return taken
            taken += TOKEN.iter_unpack(data)

    def close(self) -> None:
        """Close both ends; tokens still in the queue are gone with the last worker."""
        os.close(self.read_end)
        os.close(self.write_end)

    def _push_singly(self, tokens: bytes) -> int:
        """Return how many bytes went in."""
        for start in range(0, len(tokens), TOKEN.size):
            try:
                os.write(self.write_end, tokens[start : start + TOKEN.size])
            except OSError:
                return start
        return len(tokens)
