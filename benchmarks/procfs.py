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


def threads(pids: Iterable[int]) -> list[int]:
    """Return the ids of all threads of these processes."""
    return [thread for pid in pids for thread, _ in _threads_of(pid)]


def worker_memory(pid: int) -> dict[str, int]:
    """Return `Uss`, `Pss` and `Rss` of a process in bytes.

    Uss is what would be free if it alone ended; Pss adds its share of what it has in common
    with others; Rss counts that in full.
    """
    sizes = _memory_by_kind(pid)
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
    return anonymous + max(shared, _memfd_bytes([os.getpid()]))


def family_memory() -> int:
    """Return the memory of this process and its family in bytes, what they share counted once.

    Files without a name count in full as long as one of them has one open or mapped.
    """
    pids = [os.getpid(), *family()]
    shares = [_memory_by_kind(pid) for pid in pids]
    private = sum(share.get("Pss_Anon", 0) + share.get("Pss_File", 0) for share in shares)
    shared = sum(share.get("Pss_Shmem", 0) for share in shares)
    return private + max(shared, _memfd_bytes(pids))


def _memory_by_kind(pid: int) -> dict[str, int]:
    """Return the memory of a process by kind, in bytes; nothing for one that is gone."""
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return {}
    fields = (line.partition(":") for line in lines)
    return {name: int(size.split()[0]) * 1024 for name, _, size in fields}


def _memfd_bytes(pids: Iterable[int]) -> int:
    """Add up the blocks of these processes' memfds, each file once."""
    blocks: dict[tuple[int, int], int] = {}
    for pid in pids:
        for name in _descriptors(pid):
            try:
                if os.readlink(name).startswith("/memfd:"):
                    stat = Path(name).stat()
                    blocks[stat.st_dev, stat.st_ino] = stat.st_blocks * 512
            except OSError:  # closed by now
                continue
    return sum(blocks.values())


def _descriptors(pid: int) -> list[str]:
    """Return the links of a process's open files; none of one that is gone."""
    folder = f"/proc/{pid}/fd"
    try:
        return [f"{folder}/{name}" for name in os.listdir(folder)]
    except OSError:
        return []


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
