"""Whether a candidate may replace the champion: a paired bootstrap over the same eval rows. Knows no MLflow."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from training.errors import TrainingError
from training.labels import LABEL_TO_CLASS_OFFSET, PROBABILITIES
from training.metrics import bootstrap_metrics, classification_metrics, metrics_with_intervals

# By how a candidate may be judged: is more of it better?
METRICS = {"accuracy": True, "macro_f1": True, "rmse": False, "loss": False}
SEED = 0


@dataclass(frozen=True)
class Decision:
    """What became of a candidate, in words for the person who reads the model's version."""

    promote: bool
    reason: str


@dataclass(frozen=True)
class Rule:
    """Promote when the metric is better by more than `margin` in at least the share `confidence` of the resamples.

    Below 0, `margin` lets a model be worse by less than that: one that is smaller, and scores faster, may be worth it.
    """

    metric: str
    margin: float
    confidence: float


def decide(candidate: pd.DataFrame, champion: pd.DataFrame | None, rule: Rule) -> Decision:
    """Compare two tables of predictions (tweet_id, label, text_group, p_...) on the rows that are in both.

    Raises:
        TrainingError: no row is in both.
    """
    if champion is None:
        return Decision(True, "there was no champion before")
    both = candidate.merge(champion[["tweet_id", *PROBABILITIES]], on="tweet_id", suffixes=("", "_champion"))
    if both.empty:
        raise TrainingError("candidate and champion have no eval row in common: they cannot be compared")
    # Where a label was corrected since, the newer one counts for both.
    class_ids, groups = (both["label"] + LABEL_TO_CLASS_OFFSET).to_numpy(), both["text_group"].to_numpy()
    sign = 1 if METRICS[rule.metric] else -1
    sides = [both[PROBABILITIES].to_numpy(), both[[f"{name}_champion" for name in PROBABILITIES]].to_numpy()]
    new, old = (
        bootstrap_metrics(probabilities, class_ids, groups, SEED)[rule.metric] for probabilities in sides
    )
    new_value, old_value = (
        classification_metrics(probabilities, class_ids)[rule.metric] for probabilities in sides
    )
    share = float(np.mean(sign * (new - old) > rule.margin))
    asked = (
        f"better by more than {rule.margin:g}"
        if rule.margin >= 0
        else f"not worse by {-rule.margin:g} or more"
    )
    words = (
        f"{rule.metric} {new_value:.4f}, the champion's {old_value:.4f} on the same {len(both):,} eval rows; {asked} in "
        f"{share:.1%} of {len(new):,} resamples, {rule.confidence:.0%} are asked for"
    )
    return Decision(share >= rule.confidence, words)


def metrics_on_rows_of(candidate: pd.DataFrame, champion: pd.DataFrame) -> dict[str, float]:
    """The champion's `eval_...` metrics with their intervals on the candidate's eval rows, so that both stand in one table as equals."""
    both = candidate[["tweet_id", "label", "text_group"]].merge(
        champion[["tweet_id", *PROBABILITIES]], on="tweet_id"
    )
    class_ids, groups = (both["label"] + LABEL_TO_CLASS_OFFSET).to_numpy(), both["text_group"].to_numpy()
    metrics = metrics_with_intervals(both[PROBABILITIES].to_numpy(), class_ids, groups, SEED)
    return {f"eval_{name}": value for name, value in metrics.items()}


def best_candidate(validation: dict[str, float], metric: str) -> str:
    """The name with the best value on the validation part; the eval side chooses nothing, it only says yes or no."""
    return (max if METRICS[metric] else min)(validation, key=lambda name: validation[name])
