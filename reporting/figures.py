"""Style of all figures. Each figure is rendered as SVG for light pages, as SVG for dark pages, and as PNG.

Text in the SVGs stays text, so that the browser renders hashtags of any script with its own fonts.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from reporting.page import Picture

# Colours of Okabe and Ito, which colour-blind readers can distinguish. Dark pages have lighter ones.
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
# Series without a label take these colours in this order (axes.prop_cycle).
SERIES = ("positive", "negative", "unlabelled", "neutral", "all")

# Draws on one axes. The mapping has the colours of the theme: negative, neutral, positive, unlabelled, all.
Draw = Callable[[Axes, Mapping[str, str]], None]


def draw_picture(
    name: str,
    alt: str,
    *panels: Draw,
    width: float = 7.5,
    height: float = 3.4,
    heights: Sequence[float] | None = None,
) -> Picture:
    """Return a figure in all its renderings.

    Args:
        name: file name without its extension.
        alt: text alternative.
        panels: draw one axes each. The axes stand side by side and share their y axis.
        width: width in inches.
        height: height in inches.
        heights: if given, the axes stand one below the other with these relative heights, and share their
            x axis.
    """
    light, dark = (render_figure(panels, theme, "svg", width, height, heights) for theme in COLOURS)
    return Picture(name, alt, light, dark, render_figure(panels, "light", "png", width, height, heights))


def render_figure(
    panels: tuple[Draw, ...],
    theme: str,
    form: str,
    width: float,
    height: float,
    heights: Sequence[float] | None = None,
) -> bytes:
    """Return a figure in the colours of a theme. An SVG has a transparent background, a PNG a white one."""
    is_svg = form == "svg"
    with mpl.rc_context(style(theme)):
        figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        all_axes = (
            figure.subplots(1, len(panels), sharey=True, squeeze=False)
            if heights is None
            else figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)
        )
        for axes, draw in zip(all_axes.flat, panels, strict=True):
            draw(axes, COLOURS[theme])
        figure.align_ylabels()
        buffer = io.BytesIO()
        figure.savefig(
            buffer, format=form, dpi=110, transparent=is_svg, metadata={"Date": None} if is_svg else None
        )
    return buffer.getvalue()


def style(theme: str) -> dict[Any, Any]:
    """Return Matplotlib's settings for a theme, `light` or `dark`."""
    inked = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": "vaxpulse",  # ids are random without it: the same numbers must give the same bytes
        "font.family": "DejaVu Sans",
        "font.size": 9,
        "text.parse_math": False,  # labels contain file names, for example `US$5_to_$10.csv`
        "axes.prop_cycle": cycler(color=[COLOURS[theme][name] for name in SERIES]),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "legend.frameon": False,
        **dict.fromkeys(inked, INK[theme]),
    }
