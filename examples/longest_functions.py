"""Find the longest functions of Python files, for ``workpool map``.

find src -name '*.py' | workpool map --keep-going examples/longest_functions.py:outline
"""

from __future__ import annotations

import ast
from pathlib import Path

SHOWN = 3


def outline(path: str) -> dict[str, object]:
    """Return how many functions a file has, and the longest ones with their lines.

    A file that is not Python raises SyntaxError: try ``--keep-going`` on some that are not.
    """
    tree = ast.parse(Path(path).read_bytes(), filename=path)
    functions = [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    functions.sort(key=_length, reverse=True)
    longest = {f"{node.name}, line {node.lineno}": _length(node) for node in functions[:SHOWN]}
    return {"file": path, "functions": len(functions), "longest": longest}


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1
