"""Puts our executor in the place of `ProcessPoolExecutor`, before anything else is imported.

Imported by every interpreter that has this directory in PYTHONPATH.
"""

from tests.cpython.replacement import replace

replace()
