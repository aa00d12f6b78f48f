"""Report of a comparison: metrics of the models with intervals, and the tables of the source study."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from contracts.mlflow_names import (
    COMPARISON_METRICS,
    EVAL_SAMPLES_PER_SECOND,
    TRAIN_SAMPLES_PER_SECOND,
    TRAIN_SECONDS,
    TRAIN_STEPS_PER_SECOND,
    VALIDATION_LOSS,
)
from reporting.figures import draw_picture
from reporting.page import Picture, Section, Table, render
from training.evaluation.comparison import PairedRows
from training.evaluation.figures import Points, interval_panel, learning_curves
from training.evaluation.metrics import interval

COLUMNS = {"accuracy": "accuracy", "macro_f1": "macro-F1", "rmse": "RMSE", "ece": "calibration error"}
SPEED = {
    TRAIN_SECONDS: "training, s",
    TRAIN_SAMPLES_PER_SECOND: "training, samples/s",
    EVAL_SAMPLES_PER_SECOND: "scoring, samples/s",
}
CHART_COLUMNS = ("accuracy", "macro_f1", "rmse")
STUDY_COLUMNS = {
    "loss": "evaluation loss",
    "accuracy": "accuracy",
    "macro_precision": "precision",
    "macro_recall": "recall",
    "macro_f1": "F1",
}
STUDY_SPEED = {
    TRAIN_SECONDS: "runtime, s",
    TRAIN_SAMPLES_PER_SECOND: "samples/s",
    TRAIN_STEPS_PER_SECOND: "steps/s",
}
# Accuracy in the course report from which this project grew.
STUDY = {"BERT in the study": 0.743, "RoBERTa in the study": 0.753}
MAX_LOSS_ROWS = 20


@dataclass(frozen=True)
class ComparedModel:
    """A model of the report.

    Attributes:
        name: the name to show.
        metrics: metrics on the eval side, with `<metric>_low` and `<metric>_high`.
        recorded: metrics of its MLflow run, none if the run was deleted.
        curves: (step, loss) on `train` and `validation`, none if the model is not trained in steps.
    """

    name: str
    metrics: Mapping[str, float]
    recorded: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, Points] = field(default_factory=dict)


def comparison_page(
    models: Sequence[ComparedModel], headline: str, reason: str, more: Sequence[Section] = ()
) -> bytes:
    """Return the report as HTML. The headline is the result of the comparison."""
    section = Section(
        "Metrics on the eval side",
        "Each value has a 95 % bootstrap interval. The best candidate was chosen on the validation part. "
        "RMSE is the error of p_positive - p_negative against the label.",
        [comparison_chart(models)],
        [metrics_table(models)],
    )
    trained = [model for model in models if model.curves.get("validation")]
    study = Section(
        "As in the study",
        "The figures that the source study reports. Losses are cross entropies against the labels: the "
        "training loss is the mean over all steps, with dropout; the validation loss is that of the chosen "
        "weights. Precision, recall and F1 are means over the three classes. The study measured on another "
        "split and trained for 2 h 30 min.",
        [curves_chart(trained)] if trained else [],
        [study_table(models), *map(loss_table, trained)],
    )
    sections = [section, *more, study]
    return render("Comparison of models", {"Result": headline, "Reason": reason}, sections).encode()


def added_value_section(candidate: str, baseline: str, rows: PairedRows) -> Section:
    """Return a section with candidate minus baseline for each of CHART_COLUMNS, with paired intervals.

    The first two arguments are names to show. The baseline is the champion of `rows`.
    """
    cells = []
    for metric in CHART_COLUMNS:
        (new, new_resampled), (old, old_resampled) = rows.measure(metric)
        low, high = interval(new_resampled - old_resampled)
        is_better = (low > 0) == COMPARISON_METRICS[metric]
        verdict = "no significant difference" if low <= 0 <= high else "better" if is_better else "worse"
        cells.append([COLUMNS[metric], f"{new - old:+.3f} ({low:+.3f} to {high:+.3f})", verdict])
    return Section(
        f"Difference between {candidate} and {baseline}",
        f"{baseline} is the baseline: it counts n-grams and is trained in seconds. The differences are those "
        "on the eval rows that both have predicted, each with a 95 % interval of a paired bootstrap.",
        tables=[Table(["metric", "difference", "result"], cells)],
    )


def metrics_table(models: Sequence[ComparedModel]) -> Table:
    """Return a table with a row per model."""
    rows = [
        [model.name, *(_with_interval(model.metrics, column) for column in COLUMNS)]
        + [_figure(model.recorded, column, ",.0f") for column in SPEED]
        for model in models
    ]
    return Table(["model", *COLUMNS.values(), *SPEED.values()], rows)


def study_table(models: Sequence[ComparedModel]) -> Table:
    """Return a table with the columns of the source study: a row per model, and the study's own rows."""
    rows: list[list[Any]] = [
        [
            model.name,
            f"{last_step(model):,}" if last_step(model) else "",
            _figure(model.recorded, "train/mean_loss", ".3f"),
            _figure(model.recorded, VALIDATION_LOSS, ".3f"),
            *(_figure(model.metrics, column, ".3f") for column in STUDY_COLUMNS),
            *(_figure(model.recorded, column, ",.1f") for column in STUDY_SPEED),
        ]
        for model in models
    ]
    header = ["model", "steps", "training loss", "validation loss", *STUDY_COLUMNS.values()]
    header += STUDY_SPEED.values()
    accuracy = header.index("accuracy")
    for name, value in STUDY.items():
        cells = [""] * (len(header) - 1)
        cells[accuracy - 1] = f"{value:.3f}"
        rows.append([name, *cells])
    return Table(header, rows)


def loss_table(model: ComparedModel) -> Table:
    """Return the losses at each evaluation on the validation part, at most MAX_LOSS_ROWS of them.

    The training loss is the mean of the values that were logged since the evaluation before.
    """
    train, validation = model.curves.get("train", ()), model.curves["validation"]
    every = -(-len(validation) // MAX_LOSS_ROWS)
    # The last evaluation is shown in any case.
    shown = list(validation)[::-1][::every][::-1]
    rows, before = [], 0.0
    for step, loss in shown:
        since = [value for at, value in train if before < at <= step]
        rows.append([f"{step:,.0f}", f"{sum(since) / len(since):.3f}" if since else "", f"{loss:.3f}"])
        before = step
    return Table([f"{model.name}: step", "training loss", "validation loss"], rows)


def last_step(model: ComparedModel) -> int:
    """Return the number of optimiser steps, 0 if the model is not trained in steps."""
    return int(max((step for points in model.curves.values() for step, _ in points), default=0))


def csv_table(models: Sequence[ComparedModel]) -> bytes:
    """Return the metrics and the ends of their intervals as CSV."""
    names = [f"{column}{end}" for column in COLUMNS for end in ("", "_low", "_high")] + list(SPEED)
    figures = {model.name: {**model.metrics, **model.recorded} for model in models}
    table = pd.DataFrame.from_dict(figures, orient="index").reindex(columns=names)
    text: str = table.to_csv(index_label="model", float_format="%.6g")
    return text.encode()


def comparison_chart(models: Sequence[ComparedModel]) -> Picture:
    """Return a chart with a panel per metric and a point with its interval per model."""
    alt = "Accuracy, macro-F1 and RMSE of each model with their intervals"
    panels = [
        interval_panel({model.name: (model.metrics, column) for model in models}, title=COLUMNS[column])
        for column in CHART_COLUMNS
    ]
    return draw_picture("comparison", alt, *panels, width=10, height=1.2 + 0.4 * len(models))


def curves_chart(models: Sequence[ComparedModel]) -> Picture:
    """Return a chart of the training losses and of the validation losses, with a line per model."""
    alt = "Training loss and validation loss of each model by optimiser step"
    panels = (
        learning_curves({model.name: model.curves[part] for model in models if model.curves.get(part)}, title)
        for part, title in (("train", "training loss"), ("validation", "validation loss"))
    )
    return draw_picture("learning_curves", alt, *panels, width=10, height=3.6)


def _figure(metrics: Mapping[str, float], name: str, form: str) -> str:
    return format(metrics[name], form) if name in metrics else ""


def _with_interval(metrics: Mapping[str, float], name: str) -> str:
    if f"{name}_low" not in metrics:
        return _figure(metrics, name, ".3f")
    return f"{metrics[name]:.3f} ({metrics[f'{name}_low']:.3f} to {metrics[f'{name}_high']:.3f})"
