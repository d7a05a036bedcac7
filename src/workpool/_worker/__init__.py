"""The worker's side: what runs in a worker process. Imports nothing of the pool's side.

No module here imports asyncio when it is imported, except `async_loop`, which is imported only
for an async entrypoint or hook.

Comments ``# fault point: NAME`` mark the steps at which tests kill, stop or delay a worker, right before
the line below them. They cost nothing.
"""
