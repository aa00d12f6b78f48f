"""Coordinates of line charts with intervals. The template draws them as SVG, with a table as alternative."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

WIDTH, HEIGHT = 1000, 300
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 12, 34
MAX_X_LABELS = 8


class Interval(NamedTuple):
    """A value with the ends of its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Mark:
    """A point with the ends of its interval, in the units of the picture."""

    x: float
    y: float
    low: float
    high: float
    title: str


@dataclass(frozen=True)
class Line:
    """A series: its points and its band, as coordinates of SVG."""

    name: str
    points: str
    band: str
    marks: Sequence[Mark]


@dataclass(frozen=True)
class Chart:
    """A chart. Ticks are positions with their labels."""

    lines: Sequence[Line]
    y_ticks: Sequence[tuple[float, str]]
    x_ticks: Sequence[tuple[float, str]]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    bottom: int = HEIGHT - BOTTOM


def line_chart(
    labels: Sequence[str],
    series: Mapping[str, Sequence[Interval | None]],
    unit: str = "",
    from_zero: bool = True,
) -> Chart:
    """Return a chart with a line for each series.

    Args:
        labels: labels of the x axis.
        series: a value for each label, or None.
        unit: text after each value.
        from_zero: whether the y axis begins at 0.
    """
    known = [point for points in series.values() for point in points if point is not None]
    low = 0.0 if from_zero else min((point.low for point in known), default=0.0)
    ticks = nice_ticks(low, max((point.high for point in known), default=1.0))
    span = ticks[-1] - ticks[0]

    def x(place: int) -> float:
        width = WIDTH - LEFT - RIGHT
        return round(LEFT + width * (place + 0.5) / len(labels), 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - ticks[0]) / span, 1)

    lines = []
    for name, points in series.items():
        drawn = [(place, point) for place, point in enumerate(points) if point is not None]
        upper = [f"{x(place)},{y(point.high)}" for place, point in drawn]
        lower = [f"{x(place)},{y(point.low)}" for place, point in drawn]
        marks = [
            Mark(
                x(place),
                y(point.value),
                y(point.low),
                y(point.high),
                f"{labels[place]}, {name}: {point.value:g}{unit} ({point.low:g} to {point.high:g})",
            )
            for place, point in drawn
        ]
        coordinates = " ".join(f"{mark.x},{mark.y}" for mark in marks)
        lines.append(Line(name, coordinates, " ".join(upper + lower[::-1]), marks))
    every = max(1, -(-len(labels) // MAX_X_LABELS))
    return Chart(
        lines,
        [(y(tick), f"{tick:g}{unit}") for tick in ticks],
        [(x(place), label) for place, label in enumerate(labels) if place % every == 0],
    )


def nice_ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Return round numbers from at most `low` to at least `high`.

    >>> nice_ticks(0, 57), nice_ticks(0.71, 0.78)
    ([0.0, 20.0, 40.0, 60.0], [0.7, 0.72, 0.74, 0.76, 0.78])
    """
    raw = max(high - low, 1e-9) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * number, 10) for number in range(first, max(last, first + 1) + 1)]
