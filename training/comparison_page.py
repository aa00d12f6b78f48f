"""The page and the chart of a comparison: every model of a DAG run and the champion, with intervals."""

import base64
from collections.abc import Mapping, Sequence
from html import escape

from training.figures import empty_figure, png

COLUMNS = {"accuracy": "accuracy", "macro_f1": "macro-F1", "rmse": "RMSE", "ece": "calibration error"}
SPEED = {
    "train_runtime_seconds": "training, s",
    "train_samples_per_second": "training, samples/s",
    "eval_samples_per_second": "scoring, samples/s",
}

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>Comparison of models</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
table {{ border-collapse: collapse; width: 100% }} td, th {{ text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #8886 }}
small {{ opacity: .75; display: block }} img {{ max-width: 100% }}
</style>
<h1>Comparison of models</h1>
<p><strong>{headline}</strong></p>
<p>{reason}</p>
{table}
<p>On the eval side, with 95 % bootstrap intervals. Which candidate is asked was chosen on the validation part.</p>
<img alt="Accuracy, macro-F1 and RMSE of each model with their intervals" src="data:image/png;base64,{chart}">
</html>
"""

Metrics = Mapping[str, float]


def comparison_page(models: Mapping[str, Metrics], headline: str, reason: str, chart: bytes) -> bytes:
    """An HTML page in one file; `models` are the metrics of MLflow runs by the name that each has in the table."""
    return PAGE.format(
        headline=escape(headline),
        reason=escape(reason),
        table=html_table(models),
        chart=base64.b64encode(chart).decode(),
    ).encode()


def html_table(models: Mapping[str, Metrics]) -> str:
    """A row for each model."""
    rows = ["".join(f"<th>{escape(title)}</th>" for title in ("model", *COLUMNS.values(), *SPEED.values()))]
    for name, metrics in models.items():
        cells = [escape(name), *(_with_interval(metrics, f"eval_{column}") for column in COLUMNS)]
        cells += [f"{metrics[column]:,.0f}" if column in metrics else "" for column in SPEED]
        rows.append("".join(f"<td>{cell}</td>" for cell in cells))
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"


def csv_table(models: Mapping[str, Metrics]) -> bytes:
    """The same as CSV."""
    names = [f"eval_{column}{end}" for column in COLUMNS for end in ("", "_low", "_high")] + list(SPEED)
    lines = [",".join(["model", *names])]
    lines += [
        ",".join([name, *(f"{metrics[each]:.6g}" if each in metrics else "" for each in names)])
        for name, metrics in models.items()
    ]
    return ("\n".join(lines) + "\n").encode()


def comparison_chart(
    models: Mapping[str, Metrics], columns: Sequence[str] = ("accuracy", "macro_f1", "rmse")
) -> bytes:
    """PNG: for each metric the models one below the other, each a point on its interval."""
    figure = empty_figure(10, 1.2 + 0.4 * len(models))
    for axes, column in zip(figure.subplots(1, len(columns), sharey=True), columns, strict=True):
        for position, metrics in enumerate(models.values()):
            value = metrics.get(f"eval_{column}", float("nan"))
            low, high = (metrics.get(f"eval_{column}_{end}", value) for end in ("low", "high"))
            axes.errorbar(value, position, xerr=[[value - low], [high - value]], fmt="o", capsize=3)
        axes.set(
            title=COLUMNS[column],
            yticks=range(len(models)),
            yticklabels=list(models),
            ylim=(len(models) - 0.5, -0.5),
        )
    return png(figure)


def _with_interval(metrics: Metrics, name: str) -> str:
    if name not in metrics:
        return ""
    interval = (
        f"<small>{metrics[f'{name}_low']:.3f} to {metrics[f'{name}_high']:.3f}</small>"
        if f"{name}_low" in metrics
        else ""
    )
    return f"{metrics[name]:.3f}{interval}"
