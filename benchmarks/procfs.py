"""Processor time and memory of processes, read from /proc."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

PROC = Path("/proc")
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def family() -> list[int]:
    """Return the pids of the other processes of this one's session or descent.

    Either alone would miss some: a worker may open a session of its own, and a worker that a
    helper process made and left behind is nobody's child any more.
    """
    me, session = os.getpid(), os.getsid(0)
    parents: dict[int, int] = {}
    members: set[int] = set()
    for entry in PROC.iterdir():
        fields = _stat(int(entry.name)) if entry.name.isdigit() else None
        if fields is not None:
            parents[int(entry.name)] = int(fields[1])
            if int(fields[3]) == session:
                members.add(int(entry.name))
    members.update(pid for pid in parents if _descends(pid, me, parents))
    return sorted(members - {me})


def cpu_ns(pids: Iterable[int]) -> dict[tuple[int, int], int]:
    """Return the processor time so far, in nanoseconds, by process and thread."""
    return {(pid, thread): spent for pid in pids for thread, spent in _threads_of(pid)}


def cpu_ns_since(before: dict[tuple[int, int], int], pids: Iterable[int]) -> int:
    """Add up the processor time that has been used since an earlier look, in nanoseconds.

    What is new counts in full; what is gone counts nothing, as nobody knows its last figure.
    """
    return sum(spent - before.get(thread, 0) for thread, spent in cpu_ns(pids).items())


def worker_memory(pid: int) -> dict[str, int]:
    """Return `Uss`, `Pss` and `Rss` of a process in bytes.

    Uss is what would be free if it alone ended; Pss adds its share of what it has in common
    with others; Rss counts that in full.
    """
    lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()[1:]
    sizes = {
        name: int(size.split()[0]) * 1024 for name, _, size in (x.partition(":") for x in lines)
    }
    uss = sizes["Private_Clean"] + sizes["Private_Dirty"]
    return {"Uss": uss, "Pss": sizes["Pss"], "Rss": sizes["Rss"]}


def own_memory() -> int:
    """Return the memory that this process is responsible for, in bytes.

    That is its resident anonymous memory plus its memfds in full: a memfd that was written to
    and not mapped is in nobody's resident set, yet takes memory.
    """
    lines = (PROC / "self" / "status").read_text().splitlines()
    status = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    anonymous, shared = (int(status[name][0]) * 1024 for name in ("RssAnon", "RssShmem"))
    return anonymous + max(shared, _memfd_bytes())


def _memfd_bytes() -> int:
    """Add up the blocks of this process's memfds, each file once."""
    blocks: dict[tuple[int, int], int] = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{name}").startswith("/memfd:"):
                stat = os.fstat(int(name))
                blocks[stat.st_dev, stat.st_ino] = stat.st_blocks * 512
        except OSError:  # the descriptor that listed the folder is closed by now
            continue
    return sum(blocks.values())


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat after the command's name (state, ppid, pgrp, ...)."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    # The name may hold spaces and parentheses: only what follows its last one is sure.
    return text.rpartition(")")[2].split()


def _descends(pid: int, ancestor: int, parents: dict[int, int]) -> bool:
    """Tell whether `ancestor` is above `pid`, at any height."""
    while pid in parents:
        pid = parents[pid]
        if pid == ancestor:
            return True
    return False


def _threads_of(pid: int) -> Iterator[tuple[int, int]]:
    """Yield each thread and its processor time; nothing for a process that is gone."""
    try:
        for thread in (PROC / str(pid) / "task").iterdir():
            yield int(thread.name), int((thread / "schedstat").read_text().split()[0])
    except OSError:
        # A kernel without schedstat tells it by process and in clock ticks only.
        if (fields := _stat(pid)) is not None:
            yield pid, (int(fields[11]) + int(fields[12])) * TICK_NS
