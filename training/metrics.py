"""How good a classifier is: accuracy, precision, recall and F1 per class and macro, cross entropy, calibration, and the RMSE of its score.

The score of a tweet is p(+1) - p(-1), between -1 and 1, on the labels' own scale. RMSE against the label is the
measure of the competition that published the data.

Every metric is a function of sums over the rows. So a bootstrap is one matrix product: how often each resample has each group of rows, times
what each group adds to the sums. The metrics of a thousand resamples of 1,600 rows take a tenth of a second. Rows with the same text are one
group, drawn together: they are no independent evidence.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from training.labels import CLASS_NAMES, LABELS

RESAMPLES = 1000
RESAMPLES_PER_BLOCK = 50  # a divisor of RESAMPLES, so that memory does not grow with them
CONFIDENCE = 0.95
CALIBRATION_BINS = 15  # as in Guo et al. 2017, On Calibration of Modern Neural Networks
SMALLEST_PROBABILITY = float(np.finfo(np.float64).eps)  # of the cross entropy, as scikit-learn's log_loss

# The first columns of `row_sums`: true class x predicted class, then these, then for each bin of confidence its rows, hits and confidence.
CONFUSION = len(LABELS) ** 2
LEADING = CONFUSION + 2
# Metrics that are worth a row of their own for each level of agreement.
HEADLINES = ("accuracy", "macro_f1", "rmse", "loss", "ece")
# Three annotators, who agreed all, two to one, or not at all; a level reaches up to the middle between it and the next.
AGREEMENT_LEVELS = {"all": (5 / 6, 1.01), "two_thirds": (1 / 2, 5 / 6), "one_third": (0.0, 1 / 2)}


def softmax(logits: np.ndarray) -> np.ndarray:
    """(rows, classes) logits -> probabilities, float64; shifted by the row's maximum so that nothing overflows."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def classification_metrics(probabilities: np.ndarray, class_ids: np.ndarray) -> dict[str, float]:
    """Metrics of (rows, 3) probabilities against (rows,) true class ids; a class that is never predicted has precision 0.

    >>> perfect = classification_metrics(np.eye(3), np.array([0, 1, 2]))
    >>> perfect["accuracy"], perfect["macro_f1"], perfect["rmse"]
    (1.0, 1.0, 0.0)
    """
    sums = row_sums(probabilities, class_ids).sum(axis=0, keepdims=True)
    return {name: float(values[0]) for name, values in metrics_of_sums(sums).items()}


def bootstrap_metrics(
    probabilities: np.ndarray, class_ids: np.ndarray, groups: np.ndarray, seed: int
) -> dict[str, np.ndarray]:
    """Each metric in each resample, (resamples,); `groups` (rows,) names the group of each row.

    The same groups and seed give the same resamples: two models are compared on pairs.
    """
    names, group_of_row = np.unique(groups, return_inverse=True)
    sums = row_sums(probabilities, class_ids)
    group_sums = np.zeros((len(names), sums.shape[1]))
    np.add.at(group_sums, group_of_row, sums)
    return metrics_of_sums(
        np.concatenate([counts @ group_sums for counts in resample_counts(len(names), seed)])
    )


def metrics_with_intervals(
    probabilities: np.ndarray, class_ids: np.ndarray, groups: np.ndarray, seed: int
) -> dict[str, float]:
    """The metrics, and the ends of each one's bootstrap interval as `<metric>_low` and `<metric>_high`; of a support there is none."""
    metrics = classification_metrics(probabilities, class_ids)
    resampled = bootstrap_metrics(probabilities, class_ids, groups, seed)
    ends = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    for name in [name for name in metrics if not name.startswith("support")]:
        metrics[f"{name}_low"], metrics[f"{name}_high"] = (
            float(end) for end in np.quantile(resampled[name], ends)
        )
    return metrics


def metrics_by_agreement(
    probabilities: np.ndarray, rows: pd.DataFrame, class_ids: np.ndarray, seed: int
) -> dict[str, float]:
    """HEADLINES with their intervals for each level of the annotators' agreement, and for all rows but those of the lowest level.

    `rows` has the columns agreement and text_group, in the order of the probabilities. A level without rows has its support, 0, alone.
    """
    agreement, groups = rows["agreement"].to_numpy(), rows["text_group"].to_numpy()
    levels = {name: (low <= agreement) & (agreement < high) for name, (low, high) in AGREEMENT_LEVELS.items()}
    levels["above_one_third"] = ~levels["one_third"]
    found: dict[str, float] = {}
    for level, chosen in levels.items():
        found[f"agreement_{level}_support"] = float(chosen.sum())
        if chosen.any():
            metrics = metrics_with_intervals(probabilities[chosen], class_ids[chosen], groups[chosen], seed)
            names = [f"{headline}{end}" for headline in HEADLINES for end in ("", "_low", "_high")]
            found |= {f"agreement_{level}_{name}": metrics[name] for name in names}
    return found


def resample_counts(groups: int, seed: int) -> Iterator[np.ndarray]:
    """(RESAMPLES_PER_BLOCK, groups) as often as makes RESAMPLES: how often each resample, of as many groups with replacement, has each group."""
    draw = np.random.default_rng(seed)
    for _ in range(RESAMPLES // RESAMPLES_PER_BLOCK):
        yield draw.multinomial(groups, np.full(groups, 1 / groups), size=RESAMPLES_PER_BLOCK).astype(
            np.float64
        )


def row_sums(probabilities: np.ndarray, class_ids: np.ndarray) -> np.ndarray:
    """(rows, columns): what each row adds to the sums that `metrics_of_sums` takes."""
    rows = np.arange(len(class_ids))
    predicted = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1)
    scores = probabilities[:, -1] - probabilities[:, 0]
    sums = np.zeros((len(class_ids), LEADING + 3 * CALIBRATION_BINS))
    sums[rows, class_ids * len(LABELS) + predicted] = 1
    sums[:, CONFUSION] = (scores - np.asarray(LABELS)[class_ids]) ** 2
    sums[:, CONFUSION + 1] = -np.log(np.maximum(probabilities[rows, class_ids], SMALLEST_PROBABILITY))
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    for offset, values in enumerate((np.ones(len(rows)), predicted == class_ids, confidence)):
        sums[rows, LEADING + offset * CALIBRATION_BINS + bins] = values
    return sums


def metrics_of_sums(sums: np.ndarray) -> dict[str, np.ndarray]:
    """(resamples, columns) sums of `row_sums` -> each metric, (resamples,)."""
    confusion = sums[:, :CONFUSION].reshape(-1, len(LABELS), len(LABELS))
    rows = confusion.sum(axis=(1, 2))
    hits, true, predicted = (
        np.diagonal(confusion, axis1=1, axis2=2),
        confusion.sum(axis=2),
        confusion.sum(axis=1),
    )
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


def calibration_bins(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(resamples, CALIBRATION_BINS) each: rows whose highest probability is in the bin, how many of them are right, their probabilities' sum."""
    rows, correct, confidence = np.split(sums[:, LEADING:], 3, axis=1)
    return rows, correct, confidence


def confusion_counts(probabilities: np.ndarray, class_ids: np.ndarray) -> np.ndarray:
    """(3, 3) counts, rows the true class, columns the predicted one."""
    sums = row_sums(probabilities, class_ids).sum(axis=0)
    return sums[:CONFUSION].reshape(len(LABELS), len(LABELS)).astype(int)


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
