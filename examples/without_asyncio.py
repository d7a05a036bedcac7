"""A pool in a program without asyncio: a loop over results, a source fed on the way, a worker asked.

python examples/without_asyncio.py
"""

from __future__ import annotations

from workpool import WorkerClient, WorkQueue, entrypoint
from workpool.sync import WorkerPool

LINKS = {"home": ["news", "shop"], "news": ["home", "archive"], "shop": ["home"], "archive": []}
"""Stands for a site; each page with the pages it links to."""


@entrypoint
def visit(page: str, client: WorkerClient) -> tuple[str, list[str]]:
    """Find the links of a page, in a worker process."""
    client.state.visited.append(page)
    return page, LINKS[page]


@visit.on_worker_start
def start(client: WorkerClient) -> None:
    """Let the worker answer how much it has done."""
    client.state.visited = []
    client.on_message("visited", lambda content, client: len(client.state.visited))


with WorkerPool[str, tuple[str, list[str]]](visit, max_workers=1) as pool:
    seen = {"home"}
    waiting = WorkQueue("home")  # any thread may feed it
    for done, (page, links) in enumerate(pool.map(waiting), start=1):
        print(page, "->", ", ".join(links) or "nothing")
        new = [link for link in links if link not in seen]
        seen.update(new)
        waiting.add(*new)
        if done == len(seen):
            waiting.close()
    [worker] = pool.workers
    print("pages visited:", worker.request("visited", timeout=10))
