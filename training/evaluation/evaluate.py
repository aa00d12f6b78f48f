"""Evaluate an exported model: metrics with intervals, figures, predictions and the most confident errors."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from contracts.exported_model import ModelMetadata, Precision
from contracts.labels import LABEL_TO_CLASS_OFFSET, LABELS, PROBABILITY_COLUMNS
from contracts.spreadsheets import FORMULA_START, TEXT_PREFIX
from onnx_model.classifier import BATCH_ROWS
from onnx_model.exports import open_classifier
from training.data.labelled_tweets import LabelledTweets
from training.evaluation.figures import (
    Points,
    confusion_matrix,
    learning_curves,
    reliability_diagram,
    render_png,
)
from training.evaluation.metrics import (
    HEADLINES,
    classification_metrics,
    confusion_counts,
    metrics_by_agreement,
    metrics_with_intervals,
)

MAX_CONFIDENT_ERRORS = 50
MAX_INT8_COST = 0.002  # accuracy on the validation part that int8, which takes half the time, may cost


@dataclass(frozen=True)
class Evaluation:
    """Metrics and files for MLflow, and the metadata of the export with the results."""

    metrics: dict[str, float]
    files: dict[str, bytes]
    metadata: ModelMetadata


def evaluate(
    onnx_folder: Path, tweets: LabelledTweets, curves: Mapping[str, Points], title: str, seed: int
) -> Evaluation:
    """Evaluate each precision on the validation part, then once on the eval side.

    The validation part chooses the graph that is used for scoring. The eval side chooses nothing. The
    `eval_...` metrics are those of the chosen graph, so that scoring has the quality that the run reports.

    Args:
        onnx_folder: the exported model.
        tweets: the labelled tweets.
        curves: losses of the training by name.
        title: title of the figures.
        seed: seed of the bootstrap.
    """
    precisions = ModelMetadata.read(onnx_folder).precisions
    validation = {
        precision: evaluate_graph(onnx_folder, precision, tweets.validation) for precision in precisions
    }
    chosen = choose_precision({precision: found["accuracy"] for precision, found in validation.items()})
    metrics = {
        f"validation_{precision}_{name}": value
        for precision, found in validation.items()
        for name, value in found.items()
    }
    metrics |= _prefixed("validation", validation[chosen])
    for other in set(precisions) - {chosen}:
        metrics |= _prefixed(f"eval_{other}", evaluate_graph(onnx_folder, other, tweets.eval))

    classifier, class_ids = open_classifier(onnx_folder, chosen), to_class_ids(tweets.eval)
    began = time.monotonic()
    probabilities = classifier.probabilities(tweets.eval["text"].tolist())
    seconds = time.monotonic() - began
    found = metrics_with_intervals(probabilities, class_ids, tweets.eval["text_group"].to_numpy(), seed)
    found |= metrics_by_agreement(probabilities, tweets.eval, class_ids, seed)
    metrics |= _prefixed(f"eval_{chosen}", {name: found[name] for name in HEADLINES})
    metrics |= _prefixed("eval", found)
    metrics |= {
        "eval_runtime_seconds": seconds,
        "eval_samples_per_second": len(class_ids) / seconds,
        "eval_steps_per_second": -(-len(class_ids) // BATCH_ROWS) / seconds,
    }
    counts = confusion_counts(probabilities, class_ids)
    predictions = predictions_frame(tweets.eval, probabilities)
    files = {
        "confusion_matrix.png": render_png(confusion_matrix(counts), title),
        "reliability.png": render_png(reliability_diagram(probabilities, class_ids), title),
        "confident_errors.csv": to_csv(confident_errors(tweets.eval, predictions)),
        "eval_predictions.parquet": predictions.to_parquet(index=False),
    }
    if drawn := {name: points for name, points in curves.items() if points}:
        files["learning_curves.png"] = render_png(learning_curves(drawn), title, 6.4, 4.2)
    metadata = replace(
        classifier.metadata,
        precision=chosen,
        validation={str(precision): found for precision, found in validation.items()},
        eval_confusion=tuple(map(tuple, counts.tolist())),
        eval_rows=len(class_ids),
    )
    return Evaluation(metrics, files, metadata)


def evaluate_graph(onnx_folder: Path, precision: Precision, rows: pd.DataFrame) -> dict[str, float]:
    """Return the metrics HEADLINES of one graph on labelled rows."""
    probabilities = open_classifier(onnx_folder, precision).probabilities(rows["text"].tolist())
    found = classification_metrics(probabilities, to_class_ids(rows))
    return {name: found[name] for name in HEADLINES}


def choose_precision(accuracy: Mapping[Precision, float]) -> Precision:
    """Return `int8` if it exists and costs less than MAX_INT8_COST of the accuracy, else `float32`."""
    cost = accuracy["float32"] - accuracy.get("int8", 0)
    return "int8" if cost < MAX_INT8_COST else "float32"


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


def _prefixed(prefix: str, metrics: Mapping[str, float]) -> dict[str, float]:
    return {f"{prefix}_{name}": value for name, value in metrics.items()}
