"""What a run says about its model, from the exported graph itself: metrics with intervals, pictures, predictions, the worst errors."""

import io
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from training.data import LabelledTweets
from training.export import FLOAT32, INT8
from training.figures import confusion_picture, curves_picture, reliability_picture
from training.labels import LABEL_TO_CLASS_OFFSET, LABELS, PROBABILITIES
from training.metrics import (
    classification_metrics,
    confusion_counts,
    metrics_by_agreement,
    metrics_with_intervals,
)
from training.onnx_classifier import BATCH_SIZE, OnnxClassifier

CONFIDENT_ERRORS = 50
# int8 takes half the time; it is what scores where it costs less accuracy than this on the validation part.
MOST_INT8_COST = 0.002
GRAPHS = {"float32": FLOAT32, "int8": INT8}
FORMULA_START = r"[=+\-@\t\r\n\uFF1D\uFF0B\uFF0D\uFF20]"  # the last four are the full-width forms of = + - @
SUMMARY = ("accuracy", "macro_f1", "rmse", "loss", "ece")


@dataclass(frozen=True)
class Evaluation:
    """Figures for MLflow, files for its artifacts, and what scoring should know about the model."""

    metrics: dict[str, float]
    files: dict[str, bytes]
    facts: dict[str, Any]


def evaluate(
    onnx_folder: Path,
    tweets: LabelledTweets,
    curves: dict[str, list[tuple[float, float]]],
    title: str,
    seed: int,
) -> Evaluation:
    """Judge both exported graphs, float32 and int8: on the validation part, then once on the eval side.

    The eval side chooses nothing: not the graph, not a threshold, not the checkpoint. `eval_...` are figures of the graph that will score, so
    that a run promises what the platform then does.
    """
    validation = {
        precision: judge(onnx_folder, graph, tweets.validation) for precision, graph in GRAPHS.items()
    }
    chosen = choose_precision({precision: found["accuracy"] for precision, found in validation.items()})
    metrics = {
        f"validation_{precision}_{name}": value
        for precision, found in validation.items()
        for name, value in found.items()
    }
    metrics |= {f"validation_{name}": value for name, value in validation[chosen].items()}
    [other] = GRAPHS.keys() - {chosen}
    metrics |= {
        f"eval_{other}_{name}": value
        for name, value in judge(onnx_folder, GRAPHS[other], tweets.eval).items()
    }

    classifier, class_ids = OnnxClassifier(onnx_folder, GRAPHS[chosen]), class_ids_of(tweets.eval)
    began = time.monotonic()
    probabilities = classifier.probabilities(tweets.eval["text"].tolist())
    seconds = time.monotonic() - began
    judged = metrics_with_intervals(probabilities, class_ids, tweets.eval["text_group"].to_numpy(), seed)
    judged |= metrics_by_agreement(probabilities, tweets.eval, class_ids, seed)
    metrics |= {f"eval_{chosen}_{name}": judged[name] for name in SUMMARY}
    metrics |= {f"eval_{name}": value for name, value in judged.items()} | {
        "eval_runtime_seconds": seconds,
        "eval_samples_per_second": len(class_ids) / seconds,
        "eval_steps_per_second": -(-len(class_ids) // BATCH_SIZE) / seconds,
    }
    counts = confusion_counts(probabilities, class_ids)
    predictions = predictions_frame(tweets.eval, probabilities)
    files = {
        "confusion_matrix.png": confusion_picture(counts, title),
        "reliability.png": reliability_picture(probabilities, class_ids, title),
        "learning_curves.png": curves_picture(
            {name: points for name, points in curves.items() if points}, title
        ),
        "confident_errors.csv": as_csv(confident_errors(tweets.eval, predictions)),
        "eval_predictions.parquet": as_parquet(predictions),
    }
    facts = {
        "graph": GRAPHS[chosen],
        "validation": validation,
        "eval_confusion": counts.tolist(),  # rows the true class, columns the predicted one
        "eval_rows": len(class_ids),
    }
    return Evaluation(metrics, files, facts)


def judge(onnx_folder: Path, graph: str, rows: pd.DataFrame) -> dict[str, float]:
    """The metrics SUMMARY of one graph on labelled rows."""
    found = classification_metrics(
        OnnxClassifier(onnx_folder, graph).probabilities(rows["text"].tolist()), class_ids_of(rows)
    )
    return {name: found[name] for name in SUMMARY}


def choose_precision(accuracy: Mapping[str, float]) -> str:
    """`int8` where it costs less than MOST_INT8_COST of float32's accuracy, else `float32`."""
    return "int8" if accuracy["float32"] - accuracy["int8"] < MOST_INT8_COST else "float32"


def class_ids_of(rows: pd.DataFrame) -> np.ndarray:
    """(rows,) class ids of the column label."""
    return (rows["label"] + LABEL_TO_CLASS_OFFSET).to_numpy()


def predictions_frame(rows: pd.DataFrame, probabilities: np.ndarray) -> pd.DataFrame:
    """tweet_id, label, agreement and text_group of the rows with p_negative, p_neutral, p_positive: what a comparison with another model needs."""
    return rows[["tweet_id", "label", "agreement", "text_group"]].assign(
        **dict(zip(PROBABILITIES, probabilities.T, strict=True))
    )


def confident_errors(rows: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """The tweets that the model is surest about, and wrong: tweet_id, text, label, agreement, predicted and its probability."""
    probabilities = predictions[PROBABILITIES].to_numpy()
    predicted = np.asarray(LABELS)[probabilities.argmax(axis=1)]
    table = rows[["tweet_id", "text", "label", "agreement"]].assign(
        predicted=predicted, probability=probabilities.max(axis=1)
    )
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
