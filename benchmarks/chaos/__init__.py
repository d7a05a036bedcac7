"""Chaos: random work under random fire, and a verdict from a ledger that the tasks write themselves.

Run `python -m benchmarks.chaos` from the root of a checkout; `verdict.py` says what is held against
the pool. This package imports nothing by itself, because workers import it on their way to
`benchmarks.chaos.tasks`.
"""
