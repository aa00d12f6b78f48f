"""What a run says about its model, from the exported graph itself: metrics with intervals, pictures, predictions, the worst errors."""

import io
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from training.data import LabelledTweets
from training.export import FLOAT32, INT8
from training.figures import confusion_picture, curves_picture, reliability_picture
from training.labels import CLASS_NAMES, LABEL_TO_CLASS_OFFSET, LABELS
from training.metrics import classification_metrics, confusion_counts, metrics_by_agreement, metrics_with_intervals
from training.onnx_classifier import BATCH_SIZE, OnnxClassifier

CONFIDENT_ERRORS = 50
FORMULA_START = r"[=+\-@\t\r\n\uFF1D\uFF0B\uFF0D\uFF20]"  # the last four are the full-width forms of = + - @
SUMMARY = ("accuracy", "macro_f1", "rmse", "loss", "ece")


@dataclass(frozen=True)
class Evaluation:
    """Figures for MLflow, files for its artifacts, and what scoring should know about the model."""

    metrics: dict[str, float]
    files: dict[str, bytes]
    facts: dict[str, Any]


def evaluate(onnx_folder: Path, tweets: LabelledTweets, curves: dict[str, list[tuple[float, float]]], title: str, seed: int) -> Evaluation:
    """Judge the exported graph: on the validation part, then once on the eval side, each in both precisions.

    The eval side chooses nothing: not the precision, not a threshold, not the checkpoint.
    """
    metrics: dict[str, float] = {}
    for prefix, model in (("validation", FLOAT32), ("validation_int8", INT8)):
        probabilities = OnnxClassifier(onnx_folder, model).probabilities(tweets.validation["text"].tolist())
        found = classification_metrics(probabilities, class_ids_of(tweets.validation))
        metrics |= {f"{prefix}_{name}": found[name] for name in SUMMARY}
    metrics["validation_int8_accuracy_cost"] = metrics["validation_accuracy"] - metrics["validation_int8_accuracy"]

    classifier, class_ids = OnnxClassifier(onnx_folder), class_ids_of(tweets.eval)
    began = time.monotonic()
    probabilities = classifier.probabilities(tweets.eval["text"].tolist())
    seconds = time.monotonic() - began
    judged = metrics_with_intervals(probabilities, class_ids, seed) | metrics_by_agreement(probabilities, tweets.eval, class_ids, seed)
    metrics |= {f"eval_{name}": value for name, value in judged.items()} | {
        "eval_runtime_seconds": seconds,
        "eval_samples_per_second": len(class_ids) / seconds,
        "eval_steps_per_second": -(-len(class_ids) // BATCH_SIZE) / seconds,
    }
    # What the graph that scores says of the same rows: it may be the other one.
    int8 = classification_metrics(OnnxClassifier(onnx_folder, INT8).probabilities(tweets.eval["text"].tolist()), class_ids)
    metrics |= {f"eval_int8_{name}": int8[name] for name in SUMMARY}
    counts = confusion_counts(probabilities, class_ids)
    predictions = predictions_frame(tweets.eval, probabilities)
    files = {
        "confusion_matrix.png": confusion_picture(counts, title),
        "reliability.png": reliability_picture(probabilities, class_ids, title),
        "learning_curves.png": curves_picture({name: points for name, points in curves.items() if points}, title),
        "confident_errors.csv": as_csv(confident_errors(tweets.eval, predictions)),
        "eval_predictions.parquet": as_parquet(predictions),
    }
    facts = {
        "validation": {"float32": {name: metrics[f"validation_{name}"] for name in SUMMARY}}
        | {"int8": {name: metrics[f"validation_int8_{name}"] for name in SUMMARY}},
        "eval_confusion": counts.tolist(),  # rows the true class, columns the predicted one
        "eval_rows": len(class_ids),
    }
    return Evaluation(metrics, files, facts)


def class_ids_of(rows: pd.DataFrame) -> np.ndarray:
    """(rows,) class ids of the column label."""
    return (rows["label"] + LABEL_TO_CLASS_OFFSET).to_numpy()


def predictions_frame(rows: pd.DataFrame, probabilities: np.ndarray) -> pd.DataFrame:
    """tweet_id, label and agreement of the rows with p_negative, p_neutral, p_positive: what a comparison with another model needs."""
    return rows[["tweet_id", "label", "agreement"]].assign(**{f"p_{name}": probabilities[:, i] for i, name in enumerate(CLASS_NAMES)})


def confident_errors(rows: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """The tweets that the model is surest about, and wrong: tweet_id, text, label, agreement, predicted and its probability."""
    probabilities = predictions[[f"p_{name}" for name in CLASS_NAMES]].to_numpy()
    predicted = np.asarray(LABELS)[probabilities.argmax(axis=1)]
    table = rows[["tweet_id", "text", "label", "agreement"]].assign(predicted=predicted, probability=probabilities.max(axis=1))
    return table[table["predicted"] != table["label"]].nlargest(CONFIDENT_ERRORS, "probability")


def as_csv(frame: pd.DataFrame) -> bytes:
    """A table as CSV; a text that a spreadsheet would compute has an apostrophe in front."""
    is_formula = frame["text"].str.match(FORMULA_START)
    return frame.assign(text=frame["text"].mask(is_formula, "'" + frame["text"])).to_csv(index=False).encode()


def as_parquet(frame: pd.DataFrame) -> bytes:
    """A table as the bytes of a Parquet file."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()
