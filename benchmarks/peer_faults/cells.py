"""What was observed, in the words of the table's cells."""

import re
from collections.abc import Callable, Sequence
from typing import Any

Observation = dict[str, Any]
NEVER = "never ends"
_NUMBER = re.compile(r"\d+(?:\.\d)?")


def text(kind: str, observed: Observation) -> str:
    """Return the cell of one experiment."""
    if "hangs" in observed:
        return f"hangs: {observed['hangs']}"
    if "failed" in observed:
        return f"failed: {observed['failed']}"
    if "no_way" in observed:
        return f"no way: {observed['no_way']}"
    words = _CELLS[kind](observed)
    if observed.get("ends") is False and observed.get("stopped", 0.0) is not None:
        words += "; the program does not end"
    return words


def summary(kind: str, rounds: Sequence[Observation]) -> str:
    """Return the cell of several rounds; where they differ, it says all that was seen.

    Those that differ in numbers alone are told as one, with ranges; of seconds the longest.
    """
    alike: dict[str, list[str]] = {}
    for words in (text(kind, observed) for observed in rounds):
        alike.setdefault(_NUMBER.sub("#", words), []).append(words)
    return " **or** ".join(_merge(shape, texts) for shape, texts in alike.items())


def _merge(shape: str, texts: Sequence[str]) -> str:
    columns = zip(*map(_NUMBER.findall, texts), strict=True)
    return shape.replace("#", "{}").format(*map(_range, columns))


def _range(numbers: Sequence[str]) -> str:
    """Return one number, two with "to" between, or of seconds the longest."""
    low, high = min(numbers, key=float), max(numbers, key=float)
    return high if low == high or "." in high else f"{low} to {high}"


def _crash(observed: Observation) -> str:
    return f"{_end(observed['victim'])}; {_rest(observed)}"


def _idle(observed: Observation) -> str:
    return _rest(observed)


def _cut_short(observed: Observation) -> str:
    seconds = observed["stopped"]
    words = "runs on" if seconds is None else f"stopped after {seconds:.1f} s"
    if observed["victim"] != NEVER or seconds is not None:
        words = f"{_end(observed['victim'])}, {words}"
    return f"{words}; {_rest(observed)}"


def _start(observed: Observation) -> str:
    ends = ", ".join(dict.fromkeys(map(_end, observed["endings"])))
    goes_on = " and no end" if observed["goes_on"] else ""
    return f"{ends}; starts: {observed['starts']}{goes_on}"


def _orphans(observed: Observation) -> str:
    return f"{observed['left']} of {observed['workers']} left"


def _ctrl_c(observed: Observation) -> str:
    tracebacks = f"tracebacks: {observed['tracebacks']}"
    if observed["seconds"] is None:
        parent = " with the parent" if observed["is_parent_left"] else ""
        return f"processes left: {observed['left']}{parent}; {tracebacks}"
    return f"all gone in {observed['seconds']:.1f} s; {tracebacks}"


def _attrition(observed: Observation) -> str:
    grown = [f"{count:+} {name}" for name, count in observed["grown"].items() if count]
    renewed = f"; new pools: {observed['renewed']}" if observed["renewed"] else ""
    return (", ".join(grown) or "nothing left") + renewed


def _end(word: str) -> str:
    """Return how a task ended; exceptions as code."""
    return word if word in {"result", NEVER} else f"`{word}`"


def _rest(observed: Observation) -> str:
    """Return what became of the other tasks and of the pool."""
    others = observed["others"]
    failed = len(others["errors"])
    total = others["done"] + others["wrong"] + others["never"] + failed
    words = f"{others['done']} of {total} done"
    if others["wrong"]:
        words += f", {others['wrong']} get a wrong result"
    if failed:
        words += f", {failed} fail"
    if others["never"]:
        words += f", {others['never']} never end"
    after = observed["afterwards"]
    known = {"result": "pool works", NEVER: "pool hangs", "a wrong result": f"pool: {after}"}
    pool = known.get(after, f"pool: `{after}`")
    return f"{words}; {pool}"


_CELLS: dict[str, Callable[[Observation], str]] = {
    "crash": _crash,
    "idle": _idle,
    "cut_short": _cut_short,
    "start": _start,
    "orphans": _orphans,
    "ctrl_c": _ctrl_c,
    "attrition": _attrition,
}
