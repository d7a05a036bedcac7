"""Parallel pytest measured: serial, pytest-xdist and this package's plugin on the same suites.

`python -m benchmarks.pytest_suites --help`.
"""
