"""The exploration report's figures: each drawn once for light pages, once for dark ones, and as PNG.

Text in the SVGs stays text, so that the reader's browser draws hashtags of any script with its own fonts.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from wordcloud import WordCloud

# Okabe and Ito's colours, which colour-blind readers tell apart; on dark ground lighter ones of the same hue.
COLOURS = {
    "light": {"negative": "#d55e00", "neutral": "#767676", "positive": "#0072b2", "unlabelled": "#009e73", "all": "#333333"},
    "dark": {"negative": "#ff9a57", "neutral": "#a8a8a8", "positive": "#66b8ee", "unlabelled": "#4fd0aa", "all": "#dddddd"},
}
INK = {"light": "#1a1a1a", "dark": "#e8e8e8"}
# Word clouds are one picture for both grounds: these are legible on white and on black.
CLOUD_COLOURS = {"negative": "#e06a10", "neutral": "#858585", "positive": "#2b8fd0", "all": "#8a6fc0"}
CLOUD_SIZE = (900, 420)  # pixels

Draw = Callable[[Axes, Mapping[str, str]], None]


@dataclass(frozen=True)
class Picture:
    """A figure in the forms that a page and a folder need; `alt` says in words what it shows."""

    name: str
    alt: str
    light: bytes
    dark: bytes
    png: bytes
    is_svg: bool = True


def picture(name: str, alt: str, draw: Draw, width: float = 7.5, height: float = 3.4) -> Picture:
    """What `draw` paints on the axes of a figure of `width` by `height` inches."""
    light, dark = (rendered(draw, theme, "svg", width, height) for theme in COLOURS)
    return Picture(name, alt, light, dark, rendered(draw, "light", "png", width, height))


def rendered(draw: Draw, theme: str, form: str, width: float, height: float) -> bytes:
    """The figure in the colours of `theme`; an SVG has no ground of its own, a PNG a white one."""
    ink = INK[theme]
    settings: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": "vaxpulse",  # the same numbers give the same bytes
        "font.family": "DejaVu Sans",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), ink),
    }
    with mpl.rc_context(settings):
        figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        draw(figure.add_subplot(), COLOURS[theme])
        buffer = io.BytesIO()
        is_svg = form == "svg"
        figure.savefig(buffer, format=form, dpi=110, transparent=is_svg, metadata={"Date": None} if is_svg else None)
    return buffer.getvalue()


def stacked_bars(categories: Sequence[str], counts: Mapping[str, Sequence[int]], xlabel: str) -> Draw:
    """Bars over `categories`, one part for each key of `counts` (a label's name)."""

    def draw(axes: Axes, colours: Mapping[str, str]) -> None:
        base = np.zeros(len(categories))
        for name, values in counts.items():
            axes.bar(categories, values, bottom=base, color=colours[name], label=name)
            base += np.asarray(values)
        axes.set(xlabel=xlabel, ylabel="tweets")
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.grid(axis="y", alpha=0.25)
        if len(counts) > 1:
            axes.legend(frameon=False)

    return draw


def length_histogram(lengths: Mapping[str, Mapping[int, int]], bin_width: int) -> Draw:
    """Tweets by characters of their text, one line for each label's name, each as a share of its own tweets."""

    def draw(axes: Axes, colours: Mapping[str, str]) -> None:
        longest = max((max(counts) for counts in lengths.values() if counts), default=bin_width)
        edges = np.arange(0, longest + 2 * bin_width, bin_width)
        for name, counts in lengths.items():
            histogram, _ = np.histogram(list(counts), bins=edges, weights=list(counts.values()))
            axes.stairs(histogram / max(1, histogram.sum()) * 100, edges, color=colours[name], label=name, linewidth=1.6)
        axes.set(xlabel="characters of the text", ylabel=f"% of the label's tweets per {bin_width}")
        axes.grid(axis="y", alpha=0.25)
        axes.legend(frameon=False)

    return draw


def label_bars(names: Sequence[str], values: Sequence[float], xlabel: str) -> Draw:
    """One bar a label, in its colour, the number at its end."""

    def draw(axes: Axes, colours: Mapping[str, str]) -> None:
        bars = axes.barh(names, values, color=[colours[name] for name in names])
        axes.bar_label(bars, fmt="{:,.0f}", padding=4)
        axes.invert_yaxis()
        axes.set(xlabel=xlabel)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.margins(x=0.12)

    return draw


def paired_bars(names: Sequence[str], values: Mapping[str, Sequence[int]]) -> Draw:
    """Two bars a label, in its colour: the first, paler, is how it was."""

    def draw(axes: Axes, colours: Mapping[str, str]) -> None:
        (was, before), (is_now, now) = values.items()
        places = np.arange(len(names))
        axes.barh(places - 0.2, before, 0.38, color=[colours[name] for name in names], alpha=0.45)
        axes.barh(places + 0.2, now, 0.38, color=[colours[name] for name in names])
        axes.set_yticks(places, [f"{name}: {was}, {is_now}" for name in names])
        axes.invert_yaxis()
        axes.set(xlabel="tweets")
        axes.xaxis.set_major_formatter("{x:,.0f}")

    return draw


def ranked_bars(groups: Mapping[str, Sequence[tuple[str, float]]], xlabel: str) -> Draw:
    """The terms of each label's name, best first, below each other; a bar is as long as its value."""

    def draw(axes: Axes, colours: Mapping[str, str]) -> None:
        rows = [(name, term, value) for name, terms in groups.items() for term, value in terms]
        axes.barh(range(len(rows)), [value for _, _, value in rows], color=[colours[name] for name, _, _ in rows])
        axes.set_yticks(range(len(rows)), [term for _, term, _ in rows])
        axes.invert_yaxis()
        axes.set(xlabel=xlabel)
        axes.grid(axis="x", alpha=0.25)
        keys = [Patch(color=colours[name], label=name) for name, terms in groups.items() if terms]
        axes.legend(handles=keys, frameon=False, loc="lower right")

    return draw


def removal_bars(rules: Sequence[str], characters: Sequence[int]) -> Draw:
    """Characters that each rule takes away, in the order of the rules."""

    def draw(axes: Axes, colours: Mapping[str, str]) -> None:
        bars = axes.barh(rules, characters, color=colours["positive"])
        axes.bar_label(bars, fmt="{:,.0f}", padding=4)
        axes.invert_yaxis()
        axes.set(xlabel="characters removed")
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.margins(x=0.12)

    return draw


def word_cloud(name: str, alt: str, frequencies: Mapping[str, int], colour: str) -> Picture:
    """The words of `frequencies`, each as large as it is frequent; the same picture for both grounds."""
    cloud = WordCloud(
        width=CLOUD_SIZE[0],
        height=CLOUD_SIZE[1],
        mode="RGBA",
        background_color=None,
        color_func=lambda *_, **__: CLOUD_COLOURS[colour],
        font_path=mpl.font_manager.findfont("DejaVu Sans"),  # knows more scripts than the font that wordcloud brings
        random_state=1,
        prefer_horizontal=0.95,
    ).generate_from_frequencies(frequencies)
    buffer = io.BytesIO()
    cloud.to_image().save(buffer, format="png", optimize=True)
    content = buffer.getvalue()
    return Picture(name, alt, content, content, content, is_svg=False)
