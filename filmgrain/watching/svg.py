"""Curves as SVG text, without a library: lines over steps, on a linear or logarithmic axis, with a legend."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 42, 30  # margins
MOST = 400  # points that a line is drawn with
COLOURS = ("#1f4e79", "#c0504d", "#4f8a3d", "#8064a2", "#d98a1f", "#3a9fb5", "#7f7f7f", "#a63d7c")


@dataclass(frozen=True)
class Line:
    name: str  # in the legend; "" is not named
    x: Sequence[float]
    y: Sequence[float]
    faint: bool = False  # behind the others, in grey


@dataclass(frozen=True)
class Axis:
    """Values to pixels."""

    low: float
    high: float
    start: float  # pixel of `low`
    end: float  # pixel of `high`
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, value = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    @property
    def ticks(self) -> list[float]:
        """Round values inside, some three to eight of them."""
        if self.log and self.high / self.low >= 4:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            every = -(-len(powers) // 8)
            digits = (1, 2, 5) if len(powers) <= 3 else (1,)
            found = [digit * 10.0**power for power in powers if power % every == 0 for digit in digits]
        else:
            step = _round_step((self.high - self.low) / 5)
            first = math.ceil(self.low / step - 1e-9)
            found = [n * step for n in range(first, math.floor(self.high / step + 1e-9) + 1)]
        return [value for value in found if self.low * (1 - 1e-9) <= value <= self.high * (1 + 1e-9)]


def chart(lines: Sequence[Line], title: str, *, log: bool = False) -> str:
    """An <svg> of the finite points of all lines, above 0 where the axis is logarithmic; "" where there are none."""
    drawn = [line for line in (_finite(line, log) for line in lines) if line.x]
    if not drawn:
        return ""
    x = _axis([v for line in drawn for v in line.x], LEFT, WIDTH - RIGHT)
    y = _axis([v for line in drawn for v in line.y], HEIGHT - BOTTOM, TOP, log)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12" role="img" '
        f'aria-label="{escape(title)}">',
        f'<text x="{LEFT}" y="16" font-weight="bold">{escape(title)}</text>',
        *(_rule(LEFT, y(v), WIDTH - RIGHT, y(v)) + _label(LEFT - 6, y(v) + 4, v, "end") for v in y.ticks),
        *(_label(x(v), HEIGHT - BOTTOM + 18, v, "middle") for v in x.ticks),
        _rule(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, "#888"),
    ]
    colours = iter(COLOURS * len(drawn))
    at = LEFT
    for line in sorted(drawn, key=lambda line: not line.faint):
        colour = "#bbb" if line.faint else next(colours)
        parts.append(_curve(line, x, y, colour))
        if line.name:
            parts.append(f'<text x="{at}" y="33" fill="{colour}">{escape(line.name)}</text>')
            at += 12 + 7 * len(line.name)
    return "\n".join([*parts, "</svg>"])


def thinned(x: Sequence[float], y: Sequence[float], most: int = MOST) -> list[tuple[float, float]]:
    """At most so many of the points, the least and the largest of each part among them: no spike is lost."""
    points = list(zip(x, y, strict=True))
    if len(points) <= most:
        return points
    kept: set[int] = {0, len(points) - 1}
    parts = most // 2 - 1
    for part in range(parts):
        span = range(part * len(points) // parts, (part + 1) * len(points) // parts)
        kept |= {min(span, key=lambda i: points[i][1]), max(span, key=lambda i: points[i][1])}
    return [points[i] for i in sorted(kept)]


def _finite(line: Line, log: bool) -> Line:
    points = [(a, b) for a, b in zip(line.x, line.y, strict=True) if math.isfinite(b) and (b > 0 or not log)]
    return Line(line.name, [a for a, _ in points], [b for _, b in points], line.faint)


def _axis(values: list[float], start: float, end: float, log: bool = False) -> Axis:
    low, high = min(values), max(values)
    if low == high:
        low, high = (low / 2, high * 2) if log else (low - abs(low or 1) / 2, high + abs(high or 1) / 2)
    return Axis(low, high, start, end, log)


def _round_step(step: float) -> float:
    """The least of 1, 2, 5 times a power of ten that is not below."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(digit * power for digit in (1, 2, 5, 10) if digit * power >= step * (1 - 1e-9))


def _curve(line: Line, x: Axis, y: Axis, colour: str) -> str:
    points = [f"{x(a):.1f},{y(b):.1f}" for a, b in thinned(line.x, line.y)]
    if len(points) == 1:
        a, b = points[0].split(",")
        return f'<circle cx="{a}" cy="{b}" r="3" fill="{colour}"/>'
    width = 1 if line.faint else 2
    return f'<polyline fill="none" stroke="{colour}" stroke-width="{width}" points="{" ".join(points)}"/>'


def _rule(x1: float, y1: float, x2: float, y2: float, colour: str = "#e4e4e4") -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _label(x: float, y: float, value: float, anchor: str) -> str:
    text = f"{value:,.0f}" if abs(value) >= 1000 and value == round(value) else f"{value:.6g}"
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#555">{text}</text>'
