"""Kill a worker at every system call it makes: `python -m benchmarks.syscall_sweep`.

Imports nothing by itself, because workers import it on their way to `tasks`. Tests use the workload
and its account too, with other faults.
"""
