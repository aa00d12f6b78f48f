"""Whether a candidate replaces the champion, from the predictions of both in MLflow."""

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from contracts.exit_status import InputError
from contracts.labels import LABELS
from onnx_model.exports import open_classifier
from reporting.page import Section
from training.data.labelled_tweets import read_labelled_tweets
from training.evaluation.comparison import (
    Decision,
    PromotionPolicy,
    constant_predictions,
    decide,
    opponent_metrics,
    pair_rows,
    row_keys,
)
from training.evaluation.comparison_page import added_value_section
from training.evaluation.evaluate import predictions_frame
from training.models.presets import BASELINE
from training.tracking.registry import Registry


def metrics_of_run(registry: Registry, run: Any) -> dict[str, float]:
    """Return the metrics of a run on its eval rows, with intervals if MLflow has its predictions."""
    predictions = registry.predictions(run.info.run_id)
    if predictions is None:
        recorded = run.data.metrics.items()
        return {name.removeprefix("eval/"): value for name, value in recorded if name.startswith("eval/")}
    return opponent_metrics(predictions, predictions)


def compare_with(
    registry: Registry,
    opponent: Any | None,
    run: Any,
    policy: PromotionPolicy,
    arguments: argparse.Namespace,
) -> tuple[Decision, dict[str, float]]:
    """Return whether to promote the model of a run, and the metrics of its opponent.

    The opponent is the champion's version, or the latest former champion if no version is the champion. It is
    None if there never was one: then the candidate must be better than the majority class.
    """
    if arguments.champion == "replace" and not (opponent and opponent.run_id == run.info.run_id):
        run_of_opponent = registry.run(opponent.run_id) if opponent else None
        metrics = metrics_of_run(registry, run_of_opponent) if run_of_opponent else {}
        replaced = f"replaced version {opponent.version}" if opponent else "promoted it"
        return Decision(True, f"a user {replaced} without a comparison"), metrics
    candidate = registry.predictions(run.info.run_id)
    if candidate is None:
        raise InputError(
            f"MLflow has lost the predictions of run {run.info.run_id}: delete it and train again"
        )
    if opponent is None:
        shares = {str(label): float(run.data.params[f"dataset.label_shares.{label}"]) for label in LABELS}
        constant = constant_predictions(candidate, shares)
        # A margin is the required improvement on a champion.
        return decide(candidate, constant, replace(policy, margin=0.0), "the majority class"), {}
    if opponent.run_id == run.info.run_id:  # a retry of this comparison after the promotion
        return Decision(False, "it is already the champion"), opponent_metrics(candidate, candidate)
    version = int(run.data.params["dataset.table_version"])
    predictions = opponent_predictions(registry, opponent, candidate, arguments.tweets, version)
    return decide(candidate, predictions, policy), opponent_metrics(candidate, predictions)


def opponent_predictions(
    registry: Registry, opponent: Any, candidate: pd.DataFrame, tweets_uri: str, version: int
) -> pd.DataFrame:
    """Return the opponent's predictions for the candidate's eval rows.

    The predictions of the opponent's run are used if they cover these rows with the same texts. Otherwise its
    exported model predicts the eval side of the table version with which the candidate was evaluated.

    Raises:
        InputError: MLflow has neither of them.
    """
    recorded = registry.predictions(opponent.run_id)
    if recorded is not None and row_keys(candidate) <= row_keys(recorded):
        return recorded
    with tempfile.TemporaryDirectory() as folder:
        export = registry.download_export(opponent, folder)
        if export is None:
            raise InputError(
                f"version {opponent.version} of the registered model cannot be compared, because MLflow has "
                "lost its exported model. Restore MLflow's artifacts and clear this task, or trigger "
                "train_classifiers with *Champion* = replace, which promotes without a comparison"
            )
        classifier = open_classifier(export)
        rows = read_labelled_tweets(tweets_uri, classifier.metadata.text_column, version).eval
        return predictions_frame(rows, classifier.probabilities(rows["text"].tolist()))


def added_value(
    registry: Registry, name: str, runs: Mapping[str, Any], opponent: Any | None
) -> list[Section]:
    """Return a section with the differences between a candidate and the baseline, none without a baseline.

    The baseline is the candidate with this preset, otherwise the opponent if it has this preset. `name` is
    the preset of the candidate; `runs` has all candidates by preset.
    """
    if BASELINE in runs:
        run_id = runs[BASELINE].info.run_id
    elif opponent is not None and opponent.tags.get("preset") == BASELINE:
        run_id = opponent.run_id
    else:
        return []
    candidate, baseline = registry.predictions(runs[name].info.run_id), registry.predictions(run_id)
    if candidate is None or baseline is None:  # MLflow has lost them
        return []
    if row_keys(candidate).isdisjoint(row_keys(baseline)):  # the tweets are others than at that time
        return []
    return [added_value_section(name, BASELINE, pair_rows(candidate, baseline))]
