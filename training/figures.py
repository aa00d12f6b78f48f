"""Pictures of a run: its confusion matrix, how far its probabilities can be believed, and its losses."""

import io
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from training.labels import CLASS_NAMES, LABELS
from training.metrics import calibration_bins, row_sums

Points = Sequence[tuple[float, float]]


def confusion_picture(counts: np.ndarray, title: str) -> bytes:
    """PNG of a confusion matrix: colour is the share of the true class, each cell shows its count and that share."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = empty_figure(5.2, 4.6)
    axes = figure.add_subplot()
    image = axes.imshow(shares, vmin=0, vmax=1, cmap=mpl.colormaps["Blues"])
    ticks = [
        f"{label:+d} {name}" if label else f"0 {name}"
        for label, name in zip(LABELS, CLASS_NAMES, strict=True)
    ]
    axes.set_xticks(range(len(ticks)), ticks)
    axes.set_yticks(range(len(ticks)), ticks, rotation=90, va="center")
    axes.set(xlabel="predicted", ylabel="true", title=title)
    for (row, column), count in np.ndenumerate(counts):
        share = shares[row, column]
        axes.text(
            column,
            row,
            f"{count:,}\n{share:.0%}",
            ha="center",
            va="center",
            color="white" if share > 0.5 else "black",
        )
    figure.colorbar(image, ax=axes, label="share of the true class")
    return png(figure)


def reliability_picture(probabilities: np.ndarray, class_ids: np.ndarray, title: str) -> bytes:
    """PNG of a reliability diagram: of the tweets of about one highest probability, the share that is right."""
    rows, correct, confidence = (
        values[0]
        for values in calibration_bins(row_sums(probabilities, class_ids).sum(axis=0, keepdims=True))
    )
    filled = rows > 0
    figure = empty_figure(5.2, 4.6)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", label="as it should be")
    axes.scatter(
        confidence[filled] / rows[filled],
        correct[filled] / rows[filled],
        s=200 * rows[filled] / rows.max(),
        label="area: tweets",
    )
    axes.set(
        xlim=(1 / len(LABELS) - 0.02, 1.02),
        ylim=(0, 1.02),
        xlabel="highest probability",
        ylabel="share that is right",
        title=title,
    )
    axes.legend(loc="upper left")
    return png(figure)


def curves_picture(curves: Mapping[str, Points], title: str) -> bytes:
    """PNG of losses over optimiser steps, one line for each curve of (step, loss)."""
    figure = empty_figure(6.4, 4.2)
    axes = figure.add_subplot()
    for name, points in curves.items():
        axes.plot(*zip(*points, strict=True), marker="o" if len(points) < 30 else None, label=name)
    axes.set(xlabel="optimiser step", ylabel="loss", title=title)
    axes.legend()
    return png(figure)


def empty_figure(width: float, height: float) -> Figure:
    """A figure of so many inches on a ground of its own: legible in dark pages too."""
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def png(figure: Figure) -> bytes:
    """The figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()
