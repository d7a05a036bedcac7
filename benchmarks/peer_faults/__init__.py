"""What process pools do under faults: found by experiment, one process for each pool and fault.

`python -m benchmarks.peer_faults` prints the table; README.md says what its words mean.
"""
