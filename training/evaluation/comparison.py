"""Decide whether a candidate replaces the champion: a paired bootstrap on the same eval rows."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from contracts.exit_status import InputError
from contracts.labels import LABEL_TO_CLASS_OFFSET, LABELS, PROBABILITY_COLUMNS
from contracts.mlflow_names import COMPARISON_METRICS
from training.evaluation.metrics import bootstrap_metrics, classification_metrics, metrics_with_intervals

SEED = 0
# A tweet may have been delivered again with another text since the champion predicted it.
ROW_KEY = ["tweet_id", "text_group"]


@dataclass(frozen=True)
class Decision:
    """Whether to promote a candidate, and the reason, which becomes a tag of its version."""

    promote: bool
    reason: str


@dataclass(frozen=True)
class PromotionPolicy:
    """Promote if `metric` improves by more than `margin` in at least the share `confidence` of the resamples.

    A negative margin also accepts a smaller model that is slightly worse. Only rows whose label has at least
    `min_agreement` are compared: the label of a tweet on which the annotators disagree is mostly noise. If
    there is no such row, all are compared.
    """

    metric: str
    margin: float
    confidence: float
    min_agreement: float = 0.0


@dataclass(frozen=True)
class PairedRows:
    """Rows that both models have predicted: (rows,) class ids and groups, (rows, 3) probabilities.

    The labels are the candidate's: they may have been corrected since the champion was trained.
    """

    class_ids: npt.NDArray[np.int64]
    groups: npt.NDArray[np.object_]
    candidate: npt.NDArray[np.float64]
    champion: npt.NDArray[np.float64]

    def measure(self, metric: str) -> list[tuple[float, npt.NDArray[np.float64]]]:
        """Return a metric of the candidate and of the champion, each with its values in the resamples."""
        return [
            (
                classification_metrics(probabilities, self.class_ids)[metric],
                bootstrap_metrics(probabilities, self.class_ids, self.groups, SEED)[metric],
            )
            for probabilities in (self.candidate, self.champion)
        ]


def row_keys(predictions: pd.DataFrame) -> set[tuple[str, str]]:
    """Return tweet_id and text_group of each row."""
    return set(predictions[ROW_KEY].itertuples(index=False, name=None))


def pair_rows(candidate: pd.DataFrame, champion: pd.DataFrame) -> PairedRows:
    """Return the rows that both tables of predictions have with the same text.

    Raises:
        InputError: the tables have no common row.
    """
    columns = list(PROBABILITY_COLUMNS)
    both = candidate.merge(champion[[*ROW_KEY, *columns]], on=ROW_KEY, suffixes=("", "_champion"))
    if both.empty:
        raise InputError("candidate and champion have no common eval row and cannot be compared")
    return PairedRows(
        (both["label"] + LABEL_TO_CLASS_OFFSET).to_numpy(),
        both["text_group"].to_numpy(),
        both[columns].to_numpy(),
        both[[f"{name}_champion" for name in columns]].to_numpy(),
    )


def decide(
    candidate: pd.DataFrame,
    champion: pd.DataFrame,
    policy: PromotionPolicy,
    opponent: str = "the champion",
) -> Decision:
    """Compare two tables of predictions on their common rows. `opponent` names the second in the reason."""
    agreed = candidate[candidate["agreement"] >= policy.min_agreement]
    if agreed.empty:
        agreed = candidate
    rows = pair_rows(agreed, champion)
    (new_value, new), (old_value, old) = rows.measure(policy.metric)
    improvement = new - old if COMPARISON_METRICS[policy.metric] else old - new
    share = float(np.mean(improvement > policy.margin))
    condition = (
        f"better by more than {policy.margin:g}"
        if policy.margin >= 0
        else f"better, or worse by less than {-policy.margin:g},"
    )
    kept = f" with an agreement of {policy.min_agreement:g} or more" if len(agreed) < len(candidate) else ""
    reason = (
        f"{policy.metric} is {new_value:.4f}, that of {opponent} is {old_value:.4f} on the same "
        f"{len(rows.groups):,} eval rows{kept}; {condition} in {share:.1%} of {len(new):,} resamples, "
        f"{policy.confidence:.0%} are required"
    )
    return Decision(share >= policy.confidence, reason)


def opponent_metrics(candidate: pd.DataFrame, champion: pd.DataFrame) -> dict[str, float]:
    """Return the champion's metrics with intervals on the candidate's eval rows and labels."""
    rows = pair_rows(candidate, champion)
    return metrics_with_intervals(rows.champion, rows.class_ids, rows.groups, SEED)


def constant_predictions(rows: pd.DataFrame, label_shares: Mapping[str, float]) -> pd.DataFrame:
    """Return predictions that are the same for all rows: the share of each label in the training rows.

    The predicted label is always the majority class, and the texts are not used.
    """
    shares = (label_shares[str(label)] for label in LABELS)
    return rows.assign(**dict(zip(PROBABILITY_COLUMNS, shares, strict=True)))


def best_candidate(validation: dict[str, float], metric: str) -> str:
    """Return the name with the best value on the validation part. The eval side must choose nothing."""
    return (max if COMPARISON_METRICS[metric] else min)(validation, key=lambda name: validation[name])
