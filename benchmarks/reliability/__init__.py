"""What must hold under fire, measured: crashes, races, restarts, a killed parent, huge payloads.

Run `python -m benchmarks.reliability` from the root of a checkout. This package imports nothing by
itself, because workers import it on their way to `benchmarks.reliability.tasks`.
"""
