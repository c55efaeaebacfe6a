"""An SVG chart of two lines over impressions. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

WIDTH: Final = 900
HEIGHT: Final = 360
MARGIN: Final = 50
N_GRID_LINES: Final = 5
# (which of a pair, colour, name)
LINES: Final = ((1, "#8a8a8a", "the first weights"), (0, "#0b6e4f", "what was shown"))


def line_chart(pairs: Sequence[tuple[float, float]], title: str, x_label: str) -> str:
    """Draw (shown, first weights) nDCG window by window; return the SVG document."""
    values = [value for pair in pairs for value in pair]
    low, high = min(values) - 0.01, max(values) + 0.01

    def point(window: int, value: float) -> str:
        x = MARGIN + (WIDTH - 2 * MARGIN) * window / max(len(pairs) - 1, 1)
        y = HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (value - low) / (high - low)
        return f"{x:.1f},{y:.1f}"

    elements = []
    for side, colour, name in LINES:
        points = " ".join(point(window, pair[side]) for window, pair in enumerate(pairs))
        elements.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        y_name = MARGIN - 25 + 16 * (1 - side)
        elements.append(f'<text x="{WIDTH - MARGIN}" y="{y_name}" text-anchor="end" fill="{colour}">{name}</text>')
    for number in range(N_GRID_LINES):
        value = low + (high - low) * number / (N_GRID_LINES - 1)
        x, y = point(0, value).split(",")
        elements.append(f'<text x="{float(x) - 8:.1f}" y="{y}" text-anchor="end">{value:.3f}</text>')
        elements.append(f'<line x1="{x}" x2="{WIDTH - MARGIN}" y1="{y}" y2="{y}" stroke="#dddddd"/>')
    elements.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 12}" text-anchor="middle">{x_label}</text>')
    elements.append(f'<text x="{MARGIN}" y="{MARGIN - 20}">{title}</text>')
    style = "font-family: sans-serif; font-size: 12px; background: white"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" style="{style}">\n'
        + "\n".join(elements)
        + "\n</svg>\n"
    )
