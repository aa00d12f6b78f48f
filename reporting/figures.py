"""The figures of the reports: each as SVG for light pages, as SVG for dark pages, and as PNG.

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

# Okabe and Ito's colours, which colour-blind readers can distinguish; lighter ones of the same hue on a dark background.
COLOURS = {
    "light": {
        "negative": "#d55e00",
        "neutral": "#767676",
        "positive": "#0072b2",
        "unlabelled": "#009e73",
        "all": "#333333",
    },
    "dark": {
        "negative": "#ff9a57",
        "neutral": "#a8a8a8",
        "positive": "#66b8ee",
        "unlabelled": "#4fd0aa",
        "all": "#dddddd",
    },
}
INK = {"light": "#1a1a1a", "dark": "#e8e8e8"}
# A word cloud is one picture for light and dark pages: these colours are legible on white and on black.
CLOUD_COLOURS = {"negative": "#e06a10", "neutral": "#858585", "positive": "#2b8fd0", "all": "#8a6fc0"}
CLOUD_SIZE = (900, 420)  # pixels

MOST_PLACES_NAMED = 15  # below a line; more would overlap

Draw = Callable[[Axes, Mapping[str, str]], None]


@dataclass(frozen=True)
class Picture:
    """A figure for light pages, for dark pages and as PNG; `alt` is its text alternative."""

    name: str
    alt: str
    light: bytes
    dark: bytes
    png: bytes
    is_svg: bool = True


def draw_picture(name: str, alt: str, draw: Draw, width: float = 7.5, height: float = 3.4) -> Picture:
    """What `draw` paints on the axes of a figure of `width` by `height` inches."""
    light, dark = (render_figure(draw, theme, "svg", width, height) for theme in COLOURS)
    return Picture(name, alt, light, dark, render_figure(draw, "light", "png", width, height))


def render_figure(draw: Draw, theme: str, form: str, width: float, height: float) -> bytes:
    """The figure in the colours of `theme`; an SVG has a transparent background, a PNG a white one."""
    ink = INK[theme]
    settings: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": "vaxpulse",  # ids are random without it: the same numbers must give the same bytes
        "font.family": "DejaVu Sans",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        **dict.fromkeys(
            ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), ink
        ),
    }
    with mpl.rc_context(settings):
        figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        draw(figure.add_subplot(), COLOURS[theme])
        buffer = io.BytesIO()
        is_svg = form == "svg"
        figure.savefig(
            buffer, format=form, dpi=110, transparent=is_svg, metadata={"Date": None} if is_svg else None
        )
    return buffer.getvalue()


def stacked_bars(categories: Sequence[str], counts: Mapping[str, Sequence[int]], xlabel: str) -> Draw:
    """One bar for each category, stacked from the counts of each label (its name)."""

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
    """Tweets by number of characters: one line for each label (its name), in percent of the label's tweets."""

    def draw(axes: Axes, colours: Mapping[str, str]) -> None:
        longest = max((max(counts) for counts in lengths.values() if counts), default=bin_width)
        edges = np.arange(0, longest + 2 * bin_width, bin_width)
        for name, counts in lengths.items():
            histogram, _ = np.histogram(list(counts), bins=edges, weights=list(counts.values()))
            axes.stairs(
                histogram / max(1, histogram.sum()) * 100,
                edges,
                color=colours[name],
                label=name,
                linewidth=1.6,
            )
        axes.set(xlabel="characters of the text", ylabel=f"% of the label's tweets per {bin_width}")
        axes.grid(axis="y", alpha=0.25)
        axes.legend(frameon=False)

    return draw


def label_bars(names: Sequence[str], values: Sequence[float], xlabel: str) -> Draw:
    """One bar for each label in its colour, with the number at its end."""

    def draw(axes: Axes, colours: Mapping[str, str]) -> None:
        bars = axes.barh(names, values, color=[colours[name] for name in names])
        axes.bar_label(bars, fmt="{:,.0f}", padding=4)
        axes.invert_yaxis()
        axes.set(xlabel=xlabel)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.margins(x=0.12)

    return draw


def paired_bars(names: Sequence[str], values: Mapping[str, Sequence[int]]) -> Draw:
    """Two bars for each label in its colour; the first, paler one is the value before."""

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
    """One bar for each term with its value, grouped by label (its name), best first."""

    def draw(axes: Axes, colours: Mapping[str, str]) -> None:
        rows = [(name, term, value) for name, terms in groups.items() for term, value in terms]
        axes.barh(
            range(len(rows)), [value for _, _, value in rows], color=[colours[name] for name, _, _ in rows]
        )
        axes.set_yticks(range(len(rows)), [term for _, term, _ in rows])
        axes.invert_yaxis()
        axes.set(xlabel=xlabel)
        axes.grid(axis="x", alpha=0.25)
        keys = [Patch(color=colours[name], label=name) for name, terms in groups.items() if terms]
        axes.legend(handles=keys, frameon=False, loc="lower right")

    return draw


def removal_bars(rules: Sequence[str], characters: Sequence[int]) -> Draw:
    """Characters that each rule removes, in the order of the rules."""

    def draw(axes: Axes, colours: Mapping[str, str]) -> None:
        bars = axes.barh(rules, characters, color=colours["positive"])
        axes.bar_label(bars, fmt="{:,.0f}", padding=4)
        axes.invert_yaxis()
        axes.set(xlabel="characters removed")
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.margins(x=0.12)

    return draw


def interval_bars(
    names: Sequence[str], groups: Mapping[str, tuple[np.ndarray, np.ndarray]], xlabel: str
) -> Draw:
    """One bar for each label in its colour and each group, the first ones paler: (labels,) values and (2, labels) ends of their intervals."""

    def draw(axes: Axes, colours: Mapping[str, str]) -> None:
        height = 0.8 / len(groups)
        for place, (values, interval) in enumerate(groups.values()):
            at = np.arange(len(names)) + (place - (len(groups) - 1) / 2) * height
            alpha = 1 if place == len(groups) - 1 else 0.45
            axes.barh(at, values, height * 0.92, color=[colours[name] for name in names], alpha=alpha)
            errors = np.abs(interval - values)
            axes.errorbar(values, at, xerr=errors, fmt="none", ecolor=colours["all"], elinewidth=1, capsize=3)
        axes.set_yticks(range(len(names)), [f"{name}: {', '.join(groups)}" for name in names])
        axes.invert_yaxis()
        axes.set(xlabel=xlabel)
        axes.grid(axis="x", alpha=0.25)

    return draw


def interval_lines(
    places: Sequence[str], lines: Mapping[str, tuple[np.ndarray, np.ndarray]], ylabel: str
) -> Draw:
    """One line for each label (its name) over the places, with a band: (places,) values and (2, places) ends of their intervals."""

    def draw(axes: Axes, colours: Mapping[str, str]) -> None:
        at = np.arange(len(places))
        for name, (values, (low, high)) in lines.items():
            axes.fill_between(at, low, high, color=colours[name], alpha=0.2, linewidth=0)
            axes.plot(at, values, color=colours[name], label=name, marker="o", markersize=3)
        shown = slice(None, None, -(-len(places) // MOST_PLACES_NAMED))
        axes.set_xticks(at[shown], places[shown], rotation=30, ha="right")
        axes.set(ylabel=ylabel)
        axes.set_ylim(bottom=0)
        axes.grid(axis="y", alpha=0.25)
        axes.legend(frameon=False)

    return draw


def share_bars(categories: Sequence[str], parts: Mapping[str, Sequence[float]], xlabel: str) -> Draw:
    """One bar of 100 % for each category, divided into the labels (their names)."""

    def draw(axes: Axes, colours: Mapping[str, str]) -> None:
        base = np.zeros(len(categories))
        for name, values in parts.items():
            axes.barh(categories, values, left=base, color=colours[name], label=name)
            base += np.asarray(values)
        axes.invert_yaxis()
        axes.set(xlabel=xlabel, xlim=(0, 100))
        axes.legend(frameon=False, ncols=len(parts), loc="lower left", bbox_to_anchor=(0, 1))

    return draw


def limit_bars(
    categories: Sequence[str], values: Mapping[str, Sequence[float]], limit: float, xlabel: str
) -> Draw:
    """One bar for each category and kind of value, and a line at the limit."""

    def draw(axes: Axes, colours: Mapping[str, str]) -> None:
        height = 0.8 / len(values)
        for place, ((kind, of_kind), colour) in enumerate(
            zip(values.items(), ("positive", "unlabelled", "neutral"), strict=False)
        ):
            at = np.arange(len(categories)) + (place - (len(values) - 1) / 2) * height
            axes.barh(at, of_kind, height * 0.92, color=colours[colour], label=kind)
        axes.axvline(limit, color=colours["negative"], linestyle="--", linewidth=1, label="limit")
        axes.set_yticks(range(len(categories)), categories)
        axes.invert_yaxis()
        axes.set(xlabel=xlabel)
        axes.legend(frameon=False, ncols=len(values) + 1, loc="lower left", bbox_to_anchor=(0, 1))

    return draw


def draw_word_cloud(name: str, alt: str, frequencies: Mapping[str, int], colour: str) -> Picture:
    """The words of `frequencies`, larger the more frequent they are; the same picture for light and dark pages."""
    cloud = WordCloud(
        width=CLOUD_SIZE[0],
        height=CLOUD_SIZE[1],
        mode="RGBA",
        background_color=None,
        color_func=lambda *_, **__: CLOUD_COLOURS[colour],
        font_path=mpl.font_manager.findfont(
            "DejaVu Sans"
        ),  # has more scripts than the font that wordcloud ships
        random_state=1,
        prefer_horizontal=0.95,
    ).generate_from_frequencies(frequencies)
    buffer = io.BytesIO()
    cloud.to_image().save(buffer, format="png")
    content = buffer.getvalue()
    return Picture(name, alt, content, content, content, is_svg=False)
