"""Differences between a candidate and the baseline on the same eval rows, with intervals."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from reporting.page import Section, Table
from training.evaluation.comparison import SEED, pair_rows
from training.evaluation.metrics import CONFIDENCE, bootstrap_metrics, classification_metrics

COLUMNS = {"accuracy": "accuracy", "macro_f1": "macro-F1", "rmse": "RMSE"}

# Metric -> difference, and both ends of its interval.
Differences = Mapping[str, tuple[float, float, float]]


def differences_from(candidate: pd.DataFrame, baseline: pd.DataFrame) -> Differences:
    """Return candidate minus baseline for each of COLUMNS, with the ends of a paired bootstrap interval.

    Args:
        candidate: predictions for the eval rows, as `training.evaluation.evaluate.predictions_frame` returns
            them. Its labels count.
        baseline: likewise. Only common rows are compared.

    Raises:
        InputError: the tables have no common row.
    """
    rows = pair_rows(candidate, baseline)
    both = (rows.candidate, rows.champion)
    new, old = (classification_metrics(probabilities, rows.class_ids) for probabilities in both)
    new_resampled, old_resampled = (
        bootstrap_metrics(probabilities, rows.class_ids, rows.groups, SEED) for probabilities in both
    )
    ends = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    found = {}
    for name in COLUMNS:
        low, high = np.quantile(new_resampled[name] - old_resampled[name], ends)
        found[name] = (new[name] - old[name], float(low), float(high))
    return found


def added_value_section(candidate: str, baseline: str, differences: Differences) -> Section:
    """Return a section with a row per metric. The first two arguments are names to show."""
    rows = [
        [COLUMNS[name], f"{value:+.3f} ({low:+.3f} to {high:+.3f})", _verdict(low, high, name == "rmse")]
        for name, (value, low, high) in differences.items()
    ]
    return Section(
        f"Difference between {candidate} and {baseline}",
        f"{baseline} is the baseline: it counts n-grams and is trained in seconds. The differences are those "
        "on the eval rows that both have predicted, each with a 95 % interval of a paired bootstrap.",
        tables=[Table(["metric", "difference", "result"], rows)],
    )


def _verdict(low: float, high: float, smaller_is_better: bool) -> str:
    if low <= 0 <= high:
        return "no significant difference"
    return "better" if (high < 0) == smaller_is_better else "worse"
