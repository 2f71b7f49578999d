"""Curves: the loss and the metrics of every epoch as an SVG, the training's and the validation's in one panel."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

from torchfunc.vis.facts import printable

WIDTH, HEIGHT = 320, 210
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 26, 30
COLORS = ("#3b6fd8", "#d9822b")  # what is trained on, and what is not
INK, QUIET, GRID = "#1e293b", "#64748b", "#e2e8f0"
Point = tuple[float, float]


def curves(
    history: Mapping[str, Sequence[Any]], epochs: Sequence[int] | None = None, *, columns: int = 3
) -> str:
    """The curves of a training.

    Args:
        history: the values of each epoch by name; `val_loss` is drawn beside `loss`.
        epochs: the numbers of the epochs, 0 for the first; by default they are counted.
        columns: how many panels stand side by side.

    Returns:
        An SVG element; the pointer on a dot shows its numbers. What is no finite number is a gap.
    """
    panels = _panels(history)
    across = max(1, min(columns, len(panels)))
    down = -(-max(1, len(panels)) // across)
    drawn = "".join(
        f'<g transform="translate({index % across * WIDTH},{index // across * HEIGHT})">'
        f"{_panel(title, lines, epochs)}</g>"
        for index, (title, lines) in enumerate(panels.items())
    )
    nothing = f'<text x="{WIDTH / 2}" y="{HEIGHT / 2}" text-anchor="middle">no epochs yet</text>'
    width, height = across * WIDTH, down * HEIGHT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="Arial,sans-serif" font-size="11" fill="{INK}" style="max-width:100%;height:auto">'
        f'<rect width="{width}" height="{height}" fill="white"/>{drawn or nothing}</svg>'
    )


def _panels(history: Mapping[str, Sequence[Any]]) -> dict[str, dict[str, Sequence[Any]]]:
    """The lines of each panel by their names: a figure, and the same of the validation."""
    panels: dict[str, dict[str, Sequence[Any]]] = {}
    for name, values in history.items():
        title = name.removeprefix("val_")
        panels.setdefault(title if title in history else name, {})[name] = values
    return panels


def _panel(title: str, lines: Mapping[str, Sequence[Any]], epochs: Sequence[int] | None) -> str:
    points = {name: _points(values, epochs) for name, values in lines.items()}
    every = [point for each in points.values() for point in each if math.isfinite(point[1])]
    xs, ys = _range([x for x, _ in every], 1.0), _range([y for _, y in every], 0.0)

    def place(point: Point) -> str:
        x = LEFT + (point[0] - xs[0]) / (xs[1] - xs[0]) * (WIDTH - LEFT - RIGHT)
        y = HEIGHT - BOTTOM - (point[1] - ys[0]) / (ys[1] - ys[0]) * (HEIGHT - TOP - BOTTOM)
        return f"{x:.1f},{y:.1f}"

    grid = "".join(_mark_y(value, place((xs[0], value))) for value in _ticks(*ys, 5))
    grid += "".join(
        _mark_x(value, place((value, ys[0]))) for value in _ticks(*xs, 5) if value == round(value)
    )
    drawn = "".join(
        _line(name, points[name], color, place) for name, color in zip(points, COLORS, strict=False)
    )
    return f'<text x="{LEFT}" y="16" font-weight="bold">{_text(title)}</text>{_legend(points)}{grid}{drawn}'


def _points(values: Sequence[Any], epochs: Sequence[int] | None) -> list[Point]:
    """Where the dots are; a value that is no number is one that is not finite."""
    places = epochs if epochs is not None and len(epochs) == len(values) else range(len(values))
    return [(place + 1, _number(value)) for place, value in zip(places, values, strict=True)]


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        return math.nan


def _range(values: Sequence[float], least: float) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=0.0)
    spread = max(high - low, least) or abs(high) or 1.0
    return (low, low + spread) if least else (low - 0.04 * spread, high + 0.04 * spread)


def _ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers within a range, about so many."""
    step = 10 ** math.floor(math.log10((high - low) / count))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= count)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _mark_y(value: float, place: str) -> str:
    y = place.split(",")[1]
    line = f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="{GRID}"/>'
    return f'{line}<text x="{LEFT - 6}" y="{y}" dy="4" text-anchor="end" fill="{QUIET}">{value:.4g}</text>'


def _mark_x(value: float, place: str) -> str:
    x = place.split(",")[0]
    return f'<text x="{x}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle" fill="{QUIET}">{value:.0f}</text>'


def _line(name: str, points: list[Point], color: str, place: Any) -> str:
    """A line through the dots, which breaks where one is missing."""
    pieces: list[list[Point]] = [[]]
    for point in points:
        if math.isfinite(point[1]):
            pieces[-1].append(point)
        else:
            pieces.append([])
    pieces = [piece for piece in pieces if piece]
    lines = "".join(
        f'<polyline points="{" ".join(map(place, piece))}" fill="none" stroke="{color}" stroke-width="1.6"/>'
        for piece in pieces
    )
    dots = "".join(
        '<circle cx="{}" cy="{}" r="{}" fill="{}"><title>{}</title></circle>'.format(
            *place(point).split(","),
            3 if len(points) <= 30 else 1.6,
            color,
            _text(f"epoch {point[0]:.0f}: {name} {point[1]:.6g}"),
        )
        for piece in pieces
        for point in piece
    )
    return lines + dots


def _legend(names: Mapping[str, Any]) -> str:
    words = "\u2003".join(
        f'<tspan fill="{color}">{_text(name)}</tspan>' for name, color in zip(names, COLORS, strict=False)
    )
    return f'<text x="{WIDTH - RIGHT}" y="16" text-anchor="end">{words}</text>' if len(names) > 1 else ""


def _text(text: str) -> str:
    return html.escape(printable(str(text)))
