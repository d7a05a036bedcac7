"""The benchmark: workpool beside the other process pools, all in one run on the same work.

Run `python -m benchmarks` from the root of a checkout. This package imports nothing by itself,
because workers import it on their way to `benchmarks.tasks`.
"""
