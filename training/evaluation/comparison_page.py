"""Report of a comparison: metrics of the models of a DAG run and of the champion, with intervals."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes

from contracts.mlflow_names import TRAIN_SECONDS
from reporting.figures import Draw, draw_picture
from reporting.page import Picture, Section, Table, render

COLUMNS = {"accuracy": "accuracy", "macro_f1": "macro-F1", "rmse": "RMSE", "ece": "calibration error"}
SPEED = {
    TRAIN_SECONDS: "training, s",
    "train_samples_per_second": "training, samples/s",
    "eval_samples_per_second": "scoring, samples/s",
}
CHART_COLUMNS = ("accuracy", "macro_f1", "rmse")

Metrics = Mapping[str, float]


def comparison_page(
    models: Mapping[str, Metrics], headline: str, reason: str, chart: Picture, more: Sequence[Section] = ()
) -> bytes:
    """Return the report as HTML.

    Args:
        models: metrics of MLflow runs by the name to show.
        headline: result of the comparison.
        reason: reason of the result.
        chart: result of `comparison_chart`.
        more: further sections.
    """
    section = Section(
        "Metrics on the eval side",
        "Each value has a 95 % bootstrap interval. The best candidate was chosen on the validation part. "
        "RMSE is the error of p_positive - p_negative against the label.",
        [chart],
        [metrics_table(models)],
    )
    return render("Comparison of models", {"Result": headline, "Reason": reason}, [section, *more]).encode()


def metrics_table(models: Mapping[str, Metrics]) -> Table:
    """Return a table with a row per model."""
    rows = [
        [name, *(_with_interval(metrics, f"eval_{column}") for column in COLUMNS)]
        + [f"{metrics[column]:,.0f}" if column in metrics else "" for column in SPEED]
        for name, metrics in models.items()
    ]
    return Table(["model", *COLUMNS.values(), *SPEED.values()], rows)


def csv_table(models: Mapping[str, Metrics]) -> bytes:
    """Return the metrics and the ends of their intervals as CSV."""
    names = [f"eval_{column}{end}" for column in COLUMNS for end in ("", "_low", "_high")] + list(SPEED)
    table = pd.DataFrame.from_dict(models, orient="index").reindex(columns=names)
    text: str = table.to_csv(index_label="model", float_format="%.6g")
    return text.encode()


def comparison_chart(models: Mapping[str, Metrics]) -> Picture:
    """Return a chart with a panel per metric and a point with its interval per model."""

    def panel(column: str) -> Draw:
        def draw(axes: Axes, colours: Mapping[str, str]) -> None:
            for position, metrics in enumerate(models.values()):
                value = metrics.get(f"eval_{column}", float("nan"))
                low, high = (metrics.get(f"eval_{column}_{end}", value) for end in ("low", "high"))
                axes.errorbar(value, position, xerr=[[value - low], [high - value]], fmt="o", capsize=3)
            axes.set(title=COLUMNS[column], yticks=range(len(models)), yticklabels=list(models))
            axes.set_ylim(len(models) - 0.5, -0.5)

        return draw

    alt = "Accuracy, macro-F1 and RMSE of each model with their intervals"
    panels = [panel(column) for column in CHART_COLUMNS]
    return draw_picture("comparison", alt, *panels, width=10, height=1.2 + 0.4 * len(models))


def _with_interval(metrics: Metrics, name: str) -> str:
    if name not in metrics:
        return ""
    if f"{name}_low" not in metrics:
        return f"{metrics[name]:.3f}"
    return f"{metrics[name]:.3f} ({metrics[f'{name}_low']:.3f} to {metrics[f'{name}_high']:.3f})"
