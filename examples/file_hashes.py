"""Hash files, for ``workpool map``.

find . -type f -print0 | workpool map --null --keep-going examples/file_hashes.py:digest
"""

from __future__ import annotations

import hashlib
from pathlib import Path


def digest(path: str) -> dict[str, object]:
    """Return size and SHA-256 of a file, which may be larger than the memory."""
    file = Path(path)
    with file.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"file": path, "bytes": file.stat().st_size, "sha256": sha256}
