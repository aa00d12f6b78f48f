"""Metrics of a classifier: accuracy, precision, recall, F1, cross entropy, calibration error and RMSE.

The score of a tweet is p_positive - p_negative, on the scale of the labels (-1 to 1). The competition that
published the data used the RMSE of the score against the label.

Every metric is a function of sums over the rows. A bootstrap is therefore one matrix product: the count of
each group in each resample, times the sums of each group. The metrics of 1,000 resamples of 1,600 rows take
0.1 s. Rows with the same text form a group and are drawn together, because they are not independent.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from contracts.labels import CLASS_NAMES, LABELS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

RESAMPLES = 1000
RESAMPLES_PER_BLOCK = 50  # divides RESAMPLES; bounds the memory
CONFIDENCE = 0.95
CALIBRATION_BINS = 15  # as in Guo et al. 2017, On Calibration of Modern Neural Networks
MIN_PROBABILITY = float(np.finfo(np.float64).eps)  # avoids log(0), as scikit-learn's log_loss does

# Columns of `row_sums`: true class x predicted class, squared error and cross entropy, then rows, hits and
# confidence of each bin of confidence.
CONFUSION = len(LABELS) ** 2
LEADING = CONFUSION + 2
# Metrics over all classes.
OVERALL = ("accuracy", "macro_precision", "macro_recall", "macro_f1", "rmse", "loss", "ece")
# Metrics that are reported for each graph and for each level of agreement.
HEADLINES = ("accuracy", "macro_f1", "rmse", "loss", "ece")
# Share of three annotators who gave the label. A level ends in the middle between it and the next one.
AGREEMENT_LEVELS = {"all": (5 / 6, 1.01), "two_thirds": (1 / 2, 5 / 6), "one_third": (0.0, 1 / 2)}


def classification_metrics(probabilities: Floats, class_ids: Ints) -> dict[str, float]:
    """Return the metrics of (rows, 3) probabilities against (rows,) class ids.

    The precision of a class that is never predicted is 0.

    >>> perfect = classification_metrics(np.eye(3), np.array([0, 1, 2]))
    >>> perfect["accuracy"], perfect["macro_f1"], perfect["rmse"]
    (1.0, 1.0, 0.0)
    """
    sums = row_sums(probabilities, class_ids).sum(axis=0, keepdims=True)
    return {name: float(values[0]) for name, values in metrics_of_sums(sums).items()}


def bootstrap_metrics(
    probabilities: Floats, class_ids: Ints, groups: npt.NDArray[Any], seed: int
) -> dict[str, Floats]:
    """Return the (resamples,) values of each metric. `groups` has the group of each row.

    The same groups and seed give the same resamples, so that two models can be compared on pairs.
    """
    names, group_of_row = np.unique(groups, return_inverse=True)
    sums = row_sums(probabilities, class_ids)
    group_sums = np.zeros((len(names), sums.shape[1]))
    np.add.at(group_sums, group_of_row, sums)
    return metrics_of_sums(
        np.concatenate([counts @ group_sums for counts in resample_counts(len(names), seed)])
    )


def metrics_with_intervals(
    probabilities: Floats, class_ids: Ints, groups: npt.NDArray[Any], seed: int
) -> dict[str, float]:
    """Return the metrics with the ends of their bootstrap intervals, `<metric>_low` and `<metric>_high`."""
    metrics = classification_metrics(probabilities, class_ids)
    resampled = bootstrap_metrics(probabilities, class_ids, groups, seed)
    for name in [name for name in metrics if not name.startswith("support")]:
        metrics[f"{name}_low"], metrics[f"{name}_high"] = interval(resampled[name])
    return metrics


def interval(resampled: Floats) -> tuple[float, float]:
    """Return the ends of the interval that contains the share CONFIDENCE of the resamples."""
    low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def metrics_by_agreement(
    probabilities: Floats, rows: pd.DataFrame, class_ids: Ints, seed: int
) -> dict[str, dict[str, float]]:
    """Return HEADLINES with intervals for each level of agreement, and for all levels above the lowest.

    `rows` has the columns agreement and text_group, in the order of the probabilities. `support` is the
    number of rows; a level without rows has no other figure.
    """
    agreement, groups = rows["agreement"].to_numpy(), rows["text_group"].to_numpy()
    levels = {name: (low <= agreement) & (agreement < high) for name, (low, high) in AGREEMENT_LEVELS.items()}
    levels["above_one_third"] = ~levels["one_third"]
    names = [f"{headline}{end}" for headline in HEADLINES for end in ("", "_low", "_high")]
    found: dict[str, dict[str, float]] = {}
    for level, chosen in levels.items():
        found[level] = {"support": float(chosen.sum())}
        if chosen.any():
            metrics = metrics_with_intervals(probabilities[chosen], class_ids[chosen], groups[chosen], seed)
            found[level] |= {name: metrics[name] for name in names}
    return found


def resample_counts(groups: int, seed: int) -> Iterator[Floats]:
    """Yield blocks of resamples with replacement: the (RESAMPLES_PER_BLOCK, groups) count of each group."""
    draw = np.random.default_rng(seed)
    for _ in range(RESAMPLES // RESAMPLES_PER_BLOCK):
        yield draw.multinomial(groups, np.full(groups, 1 / groups), size=RESAMPLES_PER_BLOCK).astype(
            np.float64
        )


def row_sums(probabilities: Floats, class_ids: Ints) -> Floats:
    """Return the (rows, columns) contribution of each row to the sums for `metrics_of_sums`."""
    rows = np.arange(len(class_ids))
    predicted = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1)
    scores = probabilities[:, -1] - probabilities[:, 0]
    sums = np.zeros((len(class_ids), LEADING + 3 * CALIBRATION_BINS))
    sums[rows, class_ids * len(LABELS) + predicted] = 1
    sums[:, CONFUSION] = (scores - np.asarray(LABELS)[class_ids]) ** 2
    sums[:, CONFUSION + 1] = -np.log(np.maximum(probabilities[rows, class_ids], MIN_PROBABILITY))
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    for offset, values in enumerate((np.ones(len(rows)), predicted == class_ids, confidence)):
        sums[rows, LEADING + offset * CALIBRATION_BINS + bins] = values
    return sums


def metrics_of_sums(sums: Floats) -> dict[str, Floats]:
    """(resamples, columns) sums of `row_sums` -> (resamples,) values of each metric."""
    confusion = sums[:, :CONFUSION].reshape(-1, len(LABELS), len(LABELS))
    rows = confusion.sum(axis=(1, 2))
    hits = np.diagonal(confusion, axis1=1, axis2=2)
    true, predicted = confusion.sum(axis=2), confusion.sum(axis=1)
    precision, recall, f1 = (_share(hits, predicted), _share(hits, true), _share(2 * hits, true + predicted))
    _, correct, confidence = calibration_bins(sums)
    metrics = {
        "accuracy": hits.sum(axis=1) / rows,
        "macro_precision": precision.mean(axis=1),
        "macro_recall": recall.mean(axis=1),
        "macro_f1": f1.mean(axis=1),
        "rmse": np.sqrt(sums[:, CONFUSION] / rows),
        "loss": sums[:, CONFUSION + 1] / rows,
        "ece": np.abs(correct - confidence).sum(axis=1) / rows,
    }
    for class_id, name in enumerate(CLASS_NAMES):
        metrics |= {
            f"precision_{name}": precision[:, class_id],
            f"recall_{name}": recall[:, class_id],
            f"f1_{name}": f1[:, class_id],
            f"support_{name}": true[:, class_id],
        }
    return metrics


def calibration_bins(sums: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the rows, hits and sum of confidences of each bin: (resamples, CALIBRATION_BINS) each."""
    rows, correct, confidence = np.split(sums[:, LEADING:], 3, axis=1)
    return rows, correct, confidence


def _share(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
