"""Decide whether a candidate replaces the champion: a paired bootstrap on the same eval rows."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from contracts.exit_status import InputError
from contracts.labels import LABEL_TO_CLASS_OFFSET, PROBABILITY_COLUMNS
from contracts.mlflow_names import COMPARISON_METRICS
from training.evaluation.metrics import bootstrap_metrics, classification_metrics, metrics_with_intervals

SEED = 0


@dataclass(frozen=True)
class Decision:
    """Whether to promote a candidate, and the reason, which becomes a tag of its version."""

    promote: bool
    reason: str


@dataclass(frozen=True)
class PromotionPolicy:
    """Promote if `metric` improves by more than `margin` in at least the share `confidence` of the resamples.

    A negative margin also accepts a smaller model that is slightly worse.
    """

    metric: str
    margin: float
    confidence: float


@dataclass(frozen=True)
class PairedRows:
    """Rows that both models have predicted: (rows,) class ids and groups, (rows, 3) probabilities."""

    class_ids: npt.NDArray[np.int64]
    groups: npt.NDArray[np.object_]
    candidate: npt.NDArray[np.float64]
    champion: npt.NDArray[np.float64]


def pair_rows(candidate: pd.DataFrame, champion: pd.DataFrame) -> PairedRows:
    """Return the common rows of two tables of predictions.

    The labels are the candidate's: they may have been corrected since the champion was trained.

    Raises:
        InputError: the tables have no common row.
    """
    columns = list(PROBABILITY_COLUMNS)
    both = candidate.merge(champion[["tweet_id", *columns]], on="tweet_id", suffixes=("", "_champion"))
    if both.empty:
        raise InputError("candidate and champion have no common eval row and cannot be compared")
    return PairedRows(
        (both["label"] + LABEL_TO_CLASS_OFFSET).to_numpy(),
        both["text_group"].to_numpy(),
        both[columns].to_numpy(),
        both[[f"{name}_champion" for name in columns]].to_numpy(),
    )


def decide(candidate: pd.DataFrame, champion: pd.DataFrame, policy: PromotionPolicy) -> Decision:
    """Compare two tables of predictions on their common rows."""
    rows = pair_rows(candidate, champion)
    new, old = (
        bootstrap_metrics(probabilities, rows.class_ids, rows.groups, SEED)[policy.metric]
        for probabilities in (rows.candidate, rows.champion)
    )
    new_value, old_value = (
        classification_metrics(probabilities, rows.class_ids)[policy.metric]
        for probabilities in (rows.candidate, rows.champion)
    )
    improvement = new - old if COMPARISON_METRICS[policy.metric] else old - new
    share = float(np.mean(improvement > policy.margin))
    condition = (
        f"better by more than {policy.margin:g}"
        if policy.margin >= 0
        else f"better, or worse by less than {-policy.margin:g},"
    )
    reason = (
        f"{policy.metric} is {new_value:.4f}, the champion's is {old_value:.4f} on the same "
        f"{len(rows.groups):,} eval rows; {condition} in {share:.1%} of {len(new):,} resamples, "
        f"{policy.confidence:.0%} are required"
    )
    return Decision(share >= policy.confidence, reason)


def champion_metrics(candidate: pd.DataFrame, champion: pd.DataFrame) -> dict[str, float]:
    """Return the champion's `eval_...` metrics with intervals on the candidate's eval rows and labels."""
    rows = pair_rows(candidate, champion)
    metrics = metrics_with_intervals(rows.champion, rows.class_ids, rows.groups, SEED)
    return {f"eval_{name}": value for name, value in metrics.items()}


def best_candidate(validation: dict[str, float], metric: str) -> str:
    """Return the name with the best value on the validation part. The eval side must choose nothing."""
    return (max if COMPARISON_METRICS[metric] else min)(validation, key=lambda name: validation[name])
