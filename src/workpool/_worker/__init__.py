"""The worker's side: what runs in a worker process. Imports nothing of the pool's side.

No module here imports asyncio when it is imported, except `async_loop`, which is imported only
for an async entrypoint or hook.
"""
