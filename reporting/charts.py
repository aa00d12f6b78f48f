"""Charts and word clouds. Each chart function returns a `Draw` for `reporting.figures.draw_picture`.

The names in the arguments are the names of labels (and "unlabelled", "all"): they select the colours.
"""

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime

import matplotlib as mpl
import matplotlib.dates as mdates
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from wordcloud import WordCloud

from reporting.figures import Draw
from reporting.page import Picture

MAX_CLOUD_WORD = 30  # characters
# A word cloud is one picture for light and dark pages: these colours are legible on white and on black.
CLOUD_COLOURS = {"negative": "#e06a10", "neutral": "#858585", "positive": "#2b8fd0", "all": "#8a6fc0"}
CLOUD_SIZE = (900, 420)  # pixels

# Formats of ticks at years, months, days, hours, minutes and seconds; of the first one of a year, month etc.;
# and of the text at the end of the axis.
DATE_FORMATS = ["%Y", "%b", "%d %b", "%H:%M", "%H:%M", "%S"]
FIRST_DATE_FORMATS = ["", "%Y", "%d %b", "%d %b", "%H:%M", "%H:%M"]
DATE_OFFSETS = ["", "%Y", "%Y", "%Y", "%Y", "%Y"]


def stacked_bars(categories: Sequence[str], counts: Mapping[str, Sequence[int]], xlabel: str) -> Draw:
    """Draw one bar for each category, stacked from the counts of each label."""

    def draw(axes: Axes, colours: Mapping[str, str]) -> None:
        base = np.zeros(len(categories))
        for name, values in counts.items():
            axes.bar(categories, values, bottom=base, color=colours[name], label=name)
            base += np.asarray(values)
        axes.set(xlabel=xlabel, ylabel="tweets")
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.grid(axis="y", alpha=0.25)
        if len(counts) > 1:
            axes.legend()

    return draw


def length_histogram(lengths: Mapping[str, Mapping[int, int]], bin_width: int) -> Draw:
    """Draw one histogram for each label: the share of the label's tweets by number of characters."""

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
        axes.legend()

    return draw


def value_bars(names: Sequence[str], values: Sequence[float], xlabel: str, colour: str | None = None) -> Draw:
    """Draw one bar for each name, with its value at the end. Without a `colour` the names are labels."""

    def draw(axes: Axes, colours: Mapping[str, str]) -> None:
        bars = axes.barh(names, values, color=[colours[colour or name] for name in names])
        axes.bar_label(bars, fmt="{:,.0f}", padding=4)
        axes.invert_yaxis()
        axes.set(xlabel=xlabel)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.margins(x=0.12)

    return draw


def paired_bars(names: Sequence[str], values: Mapping[str, Sequence[int]]) -> Draw:
    """Draw two bars for each label. `values` has two entries; the first is drawn in a paler colour."""

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
    """Draw one bar for each (term, value), grouped by label."""

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
        axes.legend(handles=keys, loc="lower right")

    return draw


def interval_bars(
    names: Sequence[str], values: np.ndarray, interval: np.ndarray, unadjusted: np.ndarray, xlabel: str
) -> Draw:
    """Draw one bar for each label, with its interval, and a mark at its unadjusted value.

    The shapes are (labels,), and (2, labels) for the interval ends.
    """

    def draw(axes: Axes, colours: Mapping[str, str]) -> None:
        axes.barh(names, values, 0.7, color=[colours[name] for name in names])
        errors = np.abs(interval - values)
        axes.errorbar(values, names, xerr=errors, fmt="none", ecolor=colours["all"], elinewidth=1, capsize=3)
        axes.plot(unadjusted, names, "D", mfc="none", color=colours["all"], label="unadjusted")
        axes.invert_yaxis()
        axes.set(xlabel=xlabel)
        axes.grid(axis="x", alpha=0.25)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1))

    return draw


def dated_lines(
    times: Sequence[datetime],
    lines: Mapping[str, tuple[np.ndarray, np.ndarray]],
    dashed: Mapping[str, np.ndarray],
    ylabel: str,
) -> Draw:
    """Draw a line with a band and an unadjusted (dashed) line for each label.

    `lines` maps a label to (times,) values and (2, times) interval ends, `dashed` to (times,) values.
    """

    def draw(axes: Axes, colours: Mapping[str, str]) -> None:
        for name, (values, (low, high)) in lines.items():
            axes.fill_between(times, low, high, color=colours[name], alpha=0.2, linewidth=0)  # type: ignore[arg-type]
            axes.plot(times, dashed[name], color=colours[name], linestyle="--", linewidth=1, alpha=0.8)  # type: ignore[arg-type]
            axes.plot(times, values, color=colours[name], label=name, marker="o", markersize=3)  # type: ignore[arg-type]
        axes.set(ylabel=ylabel)
        axes.set_ylim(bottom=0)
        axes.grid(axis="both", alpha=0.25)
        keys = [Line2D([], [], color=colours[name], marker="o", markersize=3, label=name) for name in lines]
        keys += [
            Line2D([], [], color=colours["all"], label="adjusted"),
            Line2D([], [], color=colours["all"], linestyle="--", linewidth=1, label="unadjusted"),
        ]
        axes.legend(handles=keys, ncols=len(keys), loc="lower left", bbox_to_anchor=(0, 1))

    return draw


def dated_bars(spans: Sequence[tuple[date, date]], counts: Sequence[int], ylabel: str) -> Draw:
    """Draw one bar for each period. A span is the first day of a period and the day after its end."""

    def draw(axes: Axes, colours: Mapping[str, str]) -> None:
        starts = mdates.date2num([first for first, _ in spans])  # type: ignore[no-untyped-call]
        widths = [(end - first).days * 0.9 for first, end in spans]
        axes.bar(starts, counts, widths, align="edge", color=colours["all"], alpha=0.55)
        locator = mdates.AutoDateLocator(minticks=4, maxticks=10)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(
            mdates.ConciseDateFormatter(  # type: ignore[no-untyped-call]
                locator, formats=DATE_FORMATS, zero_formats=FIRST_DATE_FORMATS, offset_formats=DATE_OFFSETS
            )
        )
        axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.set(ylabel=ylabel)
        axes.margins(x=0.01)
        axes.grid(axis="y", alpha=0.25)

    return draw


def share_bars(categories: Sequence[str], parts: Mapping[str, Sequence[float]], xlabel: str) -> Draw:
    """Draw one bar of 100 % for each category, divided into labels."""

    def draw(axes: Axes, colours: Mapping[str, str]) -> None:
        base = np.zeros(len(categories))
        for name, values in parts.items():
            axes.barh(categories, values, left=base, color=colours[name], label=name)
            base += np.asarray(values)
        axes.invert_yaxis()
        axes.set(xlabel=xlabel, xlim=(0, 100))
        axes.legend(ncols=len(parts), loc="lower left", bbox_to_anchor=(0, 1))

    return draw


def limit_bars(
    categories: Sequence[str], values: Mapping[str, tuple[Sequence[float], Sequence[float]]], xlabel: str
) -> Draw:
    """Draw one bar for each category and kind of value, with a mark at its limit.

    `values` maps a kind to the values and the limits of the categories. A limit that is nan has no mark.
    """

    def draw(axes: Axes, colours: Mapping[str, str]) -> None:
        height = 0.8 / len(values)
        for place, ((kind, (of_kind, limits)), colour) in enumerate(
            zip(values.items(), ("positive", "unlabelled", "neutral"), strict=False)
        ):
            at = np.arange(len(categories)) + (place - (len(values) - 1) / 2) * height
            axes.barh(at, of_kind, height * 0.92, color=colours[colour], label=kind)
            axes.plot(
                limits, at, "|", color=colours["negative"], ms=10, mew=2, label="" if place else "limit"
            )
        axes.set_yticks(range(len(categories)), categories)
        axes.invert_yaxis()
        axes.set(xlabel=xlabel)
        axes.legend(ncols=len(values) + 1, loc="lower left", bbox_to_anchor=(0, 1))

    return draw


def draw_word_cloud(name: str, alt: str, frequencies: Mapping[str, int], colour: str) -> Picture:
    """Return a word cloud of `frequencies`, as the same PNG for light and dark pages.

    Long words are abbreviated: wordcloud raises ValueError if a word is wider than the picture.
    """
    abbreviated: Counter[str] = Counter()
    for word, count in frequencies.items():
        abbreviated[shorten(word)] += count
    cloud = WordCloud(
        width=CLOUD_SIZE[0],
        height=CLOUD_SIZE[1],
        mode="RGBA",
        background_color=None,
        color_func=lambda *_, **__: CLOUD_COLOURS[colour],
        # It covers more scripts than the font of wordcloud.
        font_path=mpl.font_manager.findfont("DejaVu Sans"),
        random_state=1,
        prefer_horizontal=0.95,
    ).generate_from_frequencies(abbreviated)
    buffer = io.BytesIO()
    cloud.to_image().save(buffer, format="png")
    content = buffer.getvalue()
    return Picture(name, alt, content, content, content, is_svg=False)


def shorten(word: str) -> str:
    """Return a word with at most MAX_CLOUD_WORD characters.

    >>> shorten("y" * 300)[-3:]
    'yy…'
    """
    return word if len(word) <= MAX_CLOUD_WORD else word[: MAX_CLOUD_WORD - 1] + "…"
