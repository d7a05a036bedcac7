"""What the start of a worker costs: its parts, each import, many at once, and the ways to start one."""
