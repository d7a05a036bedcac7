"""The machine and the interpreter, for the reader of the figures."""

import os
import platform
from pathlib import Path


def describe() -> dict[str, str]:
    """Return what figures depend on, as short texts."""
    return {
        "processor": f"{_processor()}, {len(os.sched_getaffinity(0))} usable cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def _processor() -> str:
    """Return the processor's name as the kernel has it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() in {"model name", "Hardware", "cpu"}:
            return value.strip()
    return platform.machine()
