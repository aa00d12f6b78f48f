"""Figures of a run: confusion matrix, reliability diagram and learning curves."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from contracts.labels import CLASS_NAMES, LABEL_NAMES, LABELS
from reporting.figures import Draw, render_figure
from training.evaluation.metrics import calibration_bins, row_sums

KINDS = ("precision", "recall", "f1")
Points = Sequence[tuple[float, float]]


def render_png(draw: Draw, title: str, width: float = 5.2, height: float = 4.6) -> bytes:
    """Return a figure with a title as PNG. Width and height are in inches."""

    def titled(axes: Axes, colours: Mapping[str, str]) -> None:
        draw(axes, colours)
        axes.set_title(title)

    return render_figure((titled,), "light", "png", width, height)


def confusion_matrix(counts: npt.NDArray[np.int64]) -> Draw:
    """(3, 3) counts -> a cell per true and predicted class. The colour is the share of the true class."""

    def draw(axes: Axes, colours: Mapping[str, str]) -> None:
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        image = axes.imshow(shares, vmin=0, vmax=1, cmap=mpl.colormaps["Blues"])
        ticks = [f"{label:+d} {name}" if label else f"0 {name}" for label, name in LABEL_NAMES.items()]
        axes.set_xticks(range(len(ticks)), ticks)
        axes.set_yticks(range(len(ticks)), ticks, rotation=90, va="center")
        axes.set(xlabel="predicted", ylabel="true")
        for (row, column), count in np.ndenumerate(counts):
            share = shares[row, column]
            colour = "white" if share > 0.5 else "black"
            axes.text(column, row, f"{count:,}\n{share:.0%}", ha="center", va="center", color=colour)
        axes.figure.colorbar(image, ax=axes, label="share of the true class")

    return draw


def reliability_diagram(probabilities: npt.NDArray[np.float64], class_ids: npt.NDArray[np.int64]) -> Draw:
    """(rows, 3) probabilities and (rows,) class ids -> accuracy of the tweets in each bin of confidence."""

    def draw(axes: Axes, colours: Mapping[str, str]) -> None:
        sums = row_sums(probabilities, class_ids).sum(axis=0, keepdims=True)
        rows, correct, confidence = (values[0] for values in calibration_bins(sums))
        filled = rows > 0
        axes.plot([0, 1], [0, 1], color=colours["neutral"], linestyle="--", label="perfect calibration")
        axes.scatter(
            confidence[filled] / rows[filled],
            correct[filled] / rows[filled],
            s=200 * rows[filled] / rows.max(),
            label="area: number of tweets",
        )
        axes.set(xlim=(1 / len(LABELS) - 0.02, 1.02), ylim=(0, 1.02))
        axes.set(xlabel="highest probability", ylabel="accuracy")
        axes.legend(loc="upper left")

    return draw


def interval_panel(
    points: Mapping[str, tuple[Mapping[str, float], str]], colour: str | None = None, **labels: str
) -> Draw:
    """Return a panel with a row per point: a value and its interval.

    Args:
        points: text of the row -> metrics with `<metric>_low` and `<metric>_high`, and the metric's name.
        colour: colour of all rows; by default each row has its own.
        labels: title and labels of the axes.
    """

    def draw(axes: Axes, colours: Mapping[str, str]) -> None:
        for position, (metrics, name) in enumerate(points.values()):
            value = metrics.get(name, float("nan"))
            low, high = (metrics.get(f"{name}_{end}", value) for end in ("low", "high"))
            error = [[value - low], [high - value]]
            axes.errorbar(value, position, xerr=error, fmt="o", capsize=3, color=colour and colours[colour])
        axes.set(yticks=range(len(points)), yticklabels=list(points), **labels)
        axes.set_ylim(len(points) - 0.5, -0.5)

    return draw


def metrics_figure(
    overall: Mapping[str, float], by_agreement: Mapping[str, Mapping[str, float]], title: str
) -> bytes:
    """Return a figure as PNG: metrics overall, by class and by agreement, each with its interval.

    Args:
        overall: metrics with `<metric>_low` and `<metric>_high`.
        by_agreement: the same by level of agreement.
        title: title of the panel for all rows.
    """
    names = ["accuracy", "macro_f1", *(f"{kind}_{name}" for name in CLASS_NAMES for kind in KINDS)]
    shares = {name.replace("_", " "): (overall, name) for name in names}
    levels = {
        f"{name.replace('_', ' ')}, agreement {level.replace('_', ' ')}": (metrics, name)
        for name in ("accuracy", "macro_f1", "rmse")
        for level, metrics in by_agreement.items()
        if name in metrics
    }
    panels = tuple(
        interval_panel(points, "positive", title=heading, xlabel="95 % interval")
        for heading, points in ((title, shares), ("by agreement of the annotators", levels))
    )
    heights = (len(shares), len(levels))
    return render_figure(panels, "light", "png", 7.5, 1.5 + 0.27 * sum(heights), heights)


def learning_curves(curves: Mapping[str, Points], title: str = "") -> Draw:
    """(step, loss) points by name -> a line per name."""

    def draw(axes: Axes, colours: Mapping[str, str]) -> None:
        for name, points in curves.items():
            axes.plot(*zip(*points, strict=True), marker="o" if len(points) < 30 else None, label=name)
        axes.set(title=title, xlabel="optimiser step", ylabel="loss")
        axes.legend()

    return draw
