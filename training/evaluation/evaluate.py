"""Evaluate an exported model: metrics with intervals, figures, predictions and the most confident errors."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import sklearn.metrics

from contracts.exported_model import ModelMetadata, Precision
from contracts.labels import ID2LABEL, LABEL_TO_CLASS_OFFSET, LABELS, PROBABILITY_COLUMNS
from contracts.mlflow_names import EVAL_SAMPLES_PER_SECOND
from contracts.texts import FORMULA_START, TEXT_PREFIX
from onnx_model.classifier import BATCH_ROWS, has_fast_int8
from onnx_model.exports import open_classifier
from training.data.labelled_tweets import LabelledTweets
from training.evaluation.figures import (
    Points,
    confusion_matrix,
    learning_curves,
    metrics_figure,
    reliability_diagram,
    render_png,
)
from training.evaluation.metrics import (
    HEADLINES,
    OVERALL,
    classification_metrics,
    metrics_by_agreement,
    metrics_with_intervals,
)

MAX_CONFIDENT_ERRORS = 50
# Share of the validation part to which int8, which takes half the time, must give the label of float32. With
# a scale per token it is 99.6 %, with a scale per batch 98.7 % (docs/experiments/quantisation.md).
MIN_EQUAL_LABELS = 0.99


@dataclass(frozen=True)
class Evaluation:
    """Metrics, tables and files for MLflow, and the metadata of the export with the results.

    Attributes:
        metrics: few, because MLflow draws a chart for each.
        tables: the other figures, by name: `eval` with the interval of each metric, `agreement` with the same
            for each level of agreement, `graphs` with the metrics of each precision on the validation part.
        files: figures, predictions and errors, by file name.
        metadata: of the exported model.
    """

    metrics: dict[str, float]
    tables: dict[str, pd.DataFrame]
    files: dict[str, bytes]
    metadata: ModelMetadata


def evaluate(
    onnx_folder: Path, tweets: LabelledTweets, curves: Mapping[str, Points], title: str, seed: int
) -> Evaluation:
    """Evaluate each precision on the validation part, then the chosen one on the eval side.

    The validation part chooses the graph that is used for scoring. The eval side chooses nothing. The
    `eval/...` metrics are those of the chosen graph, so that scoring has the quality that the run reports.
    `curves` has the losses of the training by name. The seed is that of the bootstrap.
    """
    precisions = ModelMetadata.read(onnx_folder).precisions
    classifiers = {precision: open_classifier(onnx_folder, precision) for precision in precisions}
    texts = tweets.validation["text"].tolist()
    predicted = {precision: each.probabilities(texts) for precision, each in classifiers.items()}
    validation = {precision: headlines(found, tweets.validation) for precision, found in predicted.items()}
    chosen = choose_precision(predicted)
    texts, class_ids = tweets.eval["text"].tolist(), to_class_ids(tweets.eval)
    began = time.monotonic()
    probabilities = classifiers[chosen].probabilities(texts)
    seconds = time.monotonic() - began
    found = metrics_with_intervals(probabilities, class_ids, tweets.eval["text_group"].to_numpy(), seed)
    by_agreement = metrics_by_agreement(probabilities, tweets.eval, class_ids, seed)
    metrics = {f"validation/{name}": value for name, value in validation[chosen].items()}
    metrics |= {f"eval/{name}": found[name] for name in OVERALL}
    metrics |= {
        "speed/eval_seconds": seconds,
        EVAL_SAMPLES_PER_SECOND: len(class_ids) / seconds,
        "speed/eval_steps_per_second": -(-len(class_ids) // BATCH_ROWS) / seconds,
    }
    tables = {
        "eval": interval_table({"": found}).drop(columns="group"),
        "agreement": interval_table(by_agreement).rename(columns={"group": "agreement"}),
        "graphs": pd.DataFrame(
            [
                {"graph": precision, "scores": precision == chosen} | validation[precision]
                for precision in precisions
            ]
        ),
    }
    counts = sklearn.metrics.confusion_matrix(class_ids, probabilities.argmax(axis=1), labels=list(ID2LABEL))
    predictions = predictions_frame(tweets.eval, probabilities)
    files = {
        "confusion_matrix.png": render_png(confusion_matrix(counts), title),
        "reliability.png": render_png(reliability_diagram(probabilities, class_ids), title),
        "metrics.png": metrics_figure(found, by_agreement, title),
        "confident_errors.csv": to_csv(confident_errors(tweets.eval, predictions)),
        "eval_predictions.parquet": predictions.to_parquet(index=False),
    }
    if drawn := {name: points for name, points in curves.items() if points}:
        files["learning_curves.png"] = render_png(learning_curves(drawn), title, 6.4, 4.2)
    metadata = replace(
        classifiers[chosen].metadata,
        precision=chosen,
        validation={str(precision): found for precision, found in validation.items()},
        eval_confusion=tuple(map(tuple, counts.tolist())),
        eval_rows=len(class_ids),
    )
    return Evaluation(metrics, tables, files, metadata)


def interval_table(groups: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """Return metrics with `<metric>_low` and `<metric>_high` as rows: group, metric, value, low, high."""
    rows = [
        (group, name, value, metrics.get(f"{name}_low"), metrics.get(f"{name}_high"))
        for group, metrics in groups.items()
        for name, value in metrics.items()
        if not name.endswith(("_low", "_high"))
    ]
    return pd.DataFrame(rows, columns=["group", "metric", "value", "low", "high"])


def headlines(probabilities: npt.NDArray[np.float64], rows: pd.DataFrame) -> dict[str, float]:
    """Return the metrics HEADLINES of (rows, 3) probabilities of labelled rows."""
    found = classification_metrics(probabilities, to_class_ids(rows))
    return {name: found[name] for name in HEADLINES}


def choose_precision(predicted: Mapping[Precision, npt.NDArray[np.float64]]) -> Precision:
    """Return `int8` if it exists, is fast on this processor, and gives nearly all rows the label of float32.

    A difference of two accuracies would depend on a few rows; equal labels are counted on all rows.

    Args:
        predicted: (rows, 3) probabilities of the validation part by precision.
    """
    if "int8" not in predicted or not has_fast_int8():
        return "float32"
    equal = np.mean(predicted["float32"].argmax(axis=1) == predicted["int8"].argmax(axis=1))
    return "int8" if equal >= MIN_EQUAL_LABELS else "float32"


def to_class_ids(rows: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return the (rows,) class ids of the column label."""
    class_ids: npt.NDArray[np.int64] = (rows["label"] + LABEL_TO_CLASS_OFFSET).to_numpy(np.int64)
    return class_ids


def predictions_frame(rows: pd.DataFrame, probabilities: npt.NDArray[np.float64]) -> pd.DataFrame:
    """Return the columns of labelled rows that a comparison of models needs, with (rows, 3) probabilities."""
    return rows[["tweet_id", "label", "agreement", "text_group"]].assign(
        **dict(zip(PROBABILITY_COLUMNS, probabilities.T, strict=True))
    )


def confident_errors(rows: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the MAX_CONFIDENT_ERRORS wrong predictions with the highest probabilities."""
    probabilities = predictions[list(PROBABILITY_COLUMNS)].to_numpy()
    predicted = np.asarray(LABELS)[probabilities.argmax(axis=1)]
    table = rows[["tweet_id", "shown_text", "label", "agreement"]].assign(
        predicted=predicted, probability=probabilities.max(axis=1)
    )
    table = table.rename(columns={"shown_text": "text"})
    return table[table["predicted"] != table["label"]].nlargest(MAX_CONFIDENT_ERRORS, "probability")


def to_csv(frame: pd.DataFrame) -> bytes:
    """Return a table as CSV whose column `text` is protected against formula injection."""
    is_formula = frame["text"].str.match(FORMULA_START)
    protected = frame["text"].mask(is_formula, TEXT_PREFIX + frame["text"])
    text: str = frame.assign(text=protected).to_csv(index=False)
    return text.encode()
