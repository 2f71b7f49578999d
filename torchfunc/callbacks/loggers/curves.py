"""Curves: figures over epochs or rates as a picture in SVG, one panel for each, drawn without any package."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 440, 300, 66, 34, 16, 48
LARGEST = 1e300  # above it, as for what is no number, there is a gap in the numbers of a page
COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728")


class Picture:
    """A picture in SVG: a notebook shows it, and `save` writes it.

    Attributes:
        svg: its text.
    """

    def __init__(self, svg: str) -> None:
        self.svg = svg

    def save(self, path: str | Path) -> None:
        """Write it to a file, which any browser shows."""
        Path(path).write_text(self.svg, encoding="utf-8")

    def _repr_svg_(self) -> str:
        return self.svg


def drawn(panels: Mapping[str, Mapping[str, Points]], across: str, *, powers: bool = False) -> Picture:
    """Panels side by side, two in a row.

    Args:
        panels: by the name of what goes up, lines by their names, each as points (across, up).
        across: the name of what goes across.
        powers: whether it is drawn by powers of 10.
    """
    columns = min(len(panels), 2) or 1
    rows = math.ceil(len(panels) / columns) or 1
    parts = [
        f'<g transform="translate({WIDTH * (place % columns)} {HEIGHT * (place // columns)})">'
        f"{_panel(name, lines, across, powers)}</g>"
        for place, (name, lines) in enumerate(panels.items())
    ]
    width, height = WIDTH * columns, HEIGHT * rows
    return Picture(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">'
        f'<rect width="{width}" height="{height}" fill="white"/>{"".join(parts)}</svg>'
    )


def _panel(name: str, lines: Mapping[str, Points], across: str, powers: bool) -> str:
    """One panel: a frame, its axes with their names, the lines and what they are called."""
    finite = {
        line: [(math.log10(x) if powers else x, y) for x, y in points if abs(y) < LARGEST]
        for line, points in lines.items()
    }
    every = [point for points in finite.values() for point in points] or [(0.0, 0.0)]
    wide, high = _range([x for x, _ in every], 0.0), _range([y for _, y in every], 0.05)
    right, low = WIDTH - RIGHT, HEIGHT - BOTTOM

    def at_x(x: float) -> float:
        return LEFT + (x - wide[0]) / (wide[1] - wide[0]) * (right - LEFT)

    def at_y(y: float) -> float:
        return low - (y - high[0]) / (high[1] - high[0]) * (low - TOP)

    parts = [_text(LEFT, 20, name, 'font-weight="bold"', "start")]
    for y in ticks(*high):
        parts.append(f'<path d="M{LEFT} {at_y(y):.1f}H{right}" stroke="#ddd"/>')
        parts.append(_text(LEFT - 6, at_y(y) + 4, f"{y:.4g}", "", "end"))
    for x in ticks(*wide, whole=True):
        parts.append(f'<path d="M{at_x(x):.1f} {low}v4" stroke="#555"/>')
        parts.append(_text(at_x(x), low + 18, f"1e{x:.0f}" if powers else f"{x:.4g}"))
    parts.append(
        f'<rect x="{LEFT}" y="{TOP}" width="{right - LEFT}" height="{low - TOP}" fill="none" stroke="#555"/>'
    )
    parts.append(_text((LEFT + right) / 2, HEIGHT - 10, across))
    middle = (TOP + low) / 2
    parts.append(_text(16, middle, name, f'transform="rotate(-90 16 {middle})"'))
    for place, (line, points) in enumerate(finite.items()):
        colour = COLOURS[place % len(COLOURS)]
        path = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if len(points) <= 20:
            for x, y in points:
                place_of = f'cx="{at_x(x):.1f}" cy="{at_y(y):.1f}"'
                told = html.escape(f"{across} {10**x if powers else x:.6g}: {line} {y:.6g}")
                parts.append(f'<circle {place_of} r="3" fill="{colour}"><title>{told}</title></circle>')
        if len(finite) > 1:
            x = right - 90 * (len(finite) - place) + 10  # above the frame, where no line is
            parts.append(f'<path d="M{x} 16h18" stroke="{colour}" stroke-width="2"/>')
            parts.append(_text(x + 22, 20, line, "", "start"))
    return "".join(parts)


def _text(x: float, y: float, text: str, more: str = "", anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{html.escape(text)}</text>'


def _range(values: Sequence[float], room: float) -> tuple[float, float]:
    """The least and the largest, with room beside them; never nothing between."""
    low, high = min(values), max(values)
    if low == high:
        return low - 0.5, high + 0.5
    return low - room * (high - low), high + room * (high - low)


def ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    """Some round numbers between two."""
    step = 10.0 ** math.floor(math.log10((high - low) / 4))
    step *= next(each for each in (1, 2, 5, 10) if (high - low) / (step * each) <= 6)
    step = max(step, 1.0) if whole else step
    return [step * at for at in range(math.ceil(low / step), math.floor(high / step + 1e-9) + 1)]
