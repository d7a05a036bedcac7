"""One ``--log-file`` for all: each process would begin it anew, and overwrite what the others write."""

from __future__ import annotations

from pathlib import Path

import pytest


def share_log_file(config: pytest.Config) -> None:
    """Empty the file, if that is due, before the workers start; from now on all append to it."""
    if not hasattr(config.option, "log_file"):  # the plugin that logs is switched off
        return
    name = config.option.log_file or config.getini("log_file")
    if not name:
        return
    mode = config.option.log_file_mode or config.getini("log_file_mode") or "w"
    if mode == "w":
        path = Path(name).absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    append_to_log_file(config)


def append_to_log_file(config: pytest.Config) -> None:
    """Have pytest write behind what is in the file."""
    config.option.log_file_mode = "a"
