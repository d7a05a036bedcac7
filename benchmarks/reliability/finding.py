"""What a measure has found, held against its goal."""

from dataclasses import dataclass

OK, FAILED, NOT_MEASURED, TOLD = "ok", "FAILED", "not measured", ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One figure. Without a bound it is told, not judged; without a value it was not measured."""

    what: str
    value: float | None
    bound: float | None = None
    unit: str = ""
    remark: str = ""
    """What else the reader should know, or why there is no value."""

    @property
    def goal(self) -> str:
        """The goal as text; empty if there is none."""
        if self.bound is None:
            return ""
        return f"at most {self.bound:g} {self.unit}".strip() if self.bound else "0"

    @property
    def measured(self) -> str:
        """The figure as text."""
        if self.value is None:
            return "-"
        digits = ".0f" if abs(self.value) >= 100 or self.value == int(self.value) else ".3g"
        return f"{self.value:{digits}} {self.unit}".strip()

    @property
    def verdict(self) -> str:
        """One of the words above. A goal without a measurement is not reached, nor is it missed."""
        if self.value is None:
            return NOT_MEASURED
        if self.bound is None:
            return TOLD
        return OK if self.value <= self.bound else FAILED


def none_of(what: str, count: int, remark: str = "") -> Finding:
    """Return the finding of something that must never happen."""
    return Finding(what, count, 0, remark=remark)


def told(what: str, value: float, unit: str = "", remark: str = "") -> Finding:
    """Return a finding without a goal."""
    return Finding(what, value, None, unit, remark)
