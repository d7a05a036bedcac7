"""An SVG file under construction: shapes in, text out."""

from __future__ import annotations

from html import escape

FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
INK = "#1f2933"
FAINT = "#69757f"
GRID = "#e3e7eb"
PAPER = "#ffffff"
OURS = "#0b7285"
PEER = "#b8c2cc"
FLOOR = "#f0b429"


class Drawing:
    """Shapes on white paper, which is drawn too: the page below may be dark."""

    def __init__(self, width: float, height: float, title: str) -> None:
        self._head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(width)} {_n(height)}" '
            f'width="{_n(width)}" height="{_n(height)}" font-family="{FONT}" role="img">'
        )
        self._parts = [f"<title>{escape(title)}</title>"]
        self.rectangle(0, 0, width, height, PAPER, radius=6)

    def rectangle(
        self, x: float, y: float, width: float, height: float, fill: str, radius: float = 0
    ) -> None:
        """Fill a rectangle."""
        corner = f' rx="{_n(radius)}"' if radius else ""
        self._parts.append(
            f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}"'
            f'{corner} fill="{fill}"/>'
        )

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = 12,
        fill: str = INK,
        anchor: str = "start",
        is_bold: bool = False,
        turned: bool = False,
    ) -> None:
        """Write a line; `anchor` (start, middle, end) says which part of it stands at x."""
        weight = ' font-weight="600"' if is_bold else ""
        turn = f' transform="rotate(-90 {_n(x)} {_n(y)})"' if turned else ""
        self._parts.append(
            f'<text x="{_n(x)}" y="{_n(y)}" font-size="{_n(size)}" fill="{fill}" '
            f'text-anchor="{anchor}"{weight}{turn}>{escape(text)}</text>'
        )

    def line(self, points: list[tuple[float, float]], stroke: str, width: float = 1) -> None:
        """Draw a line through points."""
        path = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
        self._parts.append(
            f'<polyline points="{path}" fill="none" stroke="{stroke}" '
            f'stroke-width="{_n(width)}" stroke-linejoin="round"/>'
        )

    def dot(self, x: float, y: float, fill: str, radius: float = 3) -> None:
        """Draw a dot."""
        self._parts.append(f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(radius)}" fill="{fill}"/>')

    def render(self) -> str:
        """Return the file's text."""
        return "\n".join([self._head, *self._parts, "</svg>", ""])


def _n(value: float) -> str:
    """Return a coordinate with no more digits than a screen shows."""
    return f"{value:.1f}".removesuffix(".0")
