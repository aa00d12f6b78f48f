"""Register the models of a DAG run, compare the best one with the champion, and decide whether to promote it.

    python -m training.compare --airflow-run-id ID --tweets URI --report FOLDER

The last line of the output is JSON: the version of the best candidate, whether to promote it
(`training.promote` does so), the reason, and the champion's version.
"""

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import pandas as pd

from contracts.exit_status import InputError
from contracts.mlflow_names import COMPARISON_METRICS, TRAINING_EXPERIMENT
from onnx_model.classifier import OnnxClassifier
from training import command
from training.data.labelled_tweets import read_labelled_tweets
from training.evaluation.comparison import Decision, PromotionPolicy, best_candidate, champion_metrics, decide
from training.evaluation.comparison_page import comparison_chart, comparison_page, csv_table
from training.evaluation.evaluate import predictions_frame
from training.tracking.registry import Registry
from training.tracking.report_files import write_file
from training.tracking.tracker import open_tracker

logger = logging.getLogger("training")


def arg_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training.compare", description="Compare the models of a DAG run with the champion."
    )
    parser.add_argument(
        "--airflow-run-id", required=True, metavar="ID", help="tag airflow_run_id of the runs to compare"
    )
    parser.add_argument(
        "--tweets",
        required=True,
        metavar="URI",
        help="Delta table tweets_clean, for eval rows that the champion has not predicted yet",
    )
    parser.add_argument(
        "--report", metavar="FOLDER", help="write report.html here: hdfs://host:port/path or a folder"
    )
    parser.add_argument("--experiment", default=TRAINING_EXPERIMENT, help="(default: %(default)s)")
    parser.add_argument(
        "--metric", choices=COMPARISON_METRICS, default="macro_f1", help="(default: %(default)s)"
    )
    parser.add_argument(
        "--margin",
        type=float,
        default=0.0,
        help="required improvement; a negative value also accepts a smaller model that is slightly worse "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--confidence",
        type=float,
        default=0.95,
        help="share of the resamples that must show the improvement (default: %(default)s)",
    )
    return parser


def compare(arguments: argparse.Namespace) -> dict[str, Any]:
    """Compare, register and report; return the result.

    Raises:
        InputError: the DAG run has no finished run, or the table cannot be read.
        TransientError: MLflow or HDFS does not answer.
    """
    open_tracker(arguments.experiment)  # checks that MLflow answers
    registry = Registry(arguments.experiment)
    policy = PromotionPolicy(arguments.metric, arguments.margin, arguments.confidence)
    runs = registry.runs_of(arguments.airflow_run_id)
    if not runs:
        raise InputError(f"MLflow has no finished run of the DAG run {arguments.airflow_run_id}")
    champion = registry.champion()

    validation_metric = f"validation_{policy.metric}"
    best = best_candidate(
        {name: run.data.metrics[validation_metric] for name, run in runs.items()}, policy.metric
    )
    candidate = registry.predictions(runs[best].info.run_id)
    metrics_of_champion: dict[str, float] = {}
    if champion is None:
        decision = decide(candidate, None, policy)
    elif champion.run_id == runs[best].info.run_id:  # a retry of this comparison after the promotion
        decision = Decision(False, "it is already the champion")
        metrics_of_champion = registry.run(champion.run_id).data.metrics
    else:
        version = int(runs[best].data.params["dataset.table_version"])
        predictions = champion_predictions(registry, champion, candidate, arguments.tweets, version)
        decision = decide(candidate, predictions, policy)
        metrics_of_champion = registry.run(champion.run_id).data.metrics
        metrics_of_champion |= champion_metrics(candidate, predictions)

    versions = {}
    for name, run in runs.items():
        reason = (
            decision.reason
            if name == best
            else f"{best} of the same DAG run has a better value of {validation_metric}"
        )
        versions[name] = registry.register(run, version_tags(registry, run, reason))
    old = None if champion is None else str(champion.version)
    outcome = "to be promoted" if decision.promote else "not promoted"
    models = {f"{name} (version {versions[name]})": run.data.metrics for name, run in runs.items()}
    if champion is not None:
        models[f"champion (version {old})"] = metrics_of_champion
    chart = comparison_chart(models)
    page = comparison_page(models, f"{best}, version {versions[best]}: {outcome}", decision.reason, chart)
    files = {"comparison.html": page, "comparison.png": chart.png, "comparison.csv": csv_table(models)}
    registry.log_files(runs[best].info.run_id, files)
    if arguments.report is not None:
        write_file(arguments.report, "report.html", page)
    logger.info("%s, version %s: %s: %s", best, versions[best], outcome, decision.reason)
    return {
        "preset": best,
        "version": versions[best],
        "promote": decision.promote,
        "reason": decision.reason,
        "instead_of": old,
    }


def champion_predictions(
    registry: Registry, champion: Any, candidate: pd.DataFrame, tweets_uri: str, version: int
) -> pd.DataFrame:
    """Return the champion's predictions for the candidate's eval rows.

    The predictions of the champion's run are used if they cover these rows. Otherwise the champion predicts
    the eval side of the table version with which the candidate was evaluated.
    """
    recorded = registry.predictions(champion.run_id)
    if set(candidate["tweet_id"]) <= set(recorded["tweet_id"]):
        return recorded
    with tempfile.TemporaryDirectory() as folder:
        classifier = OnnxClassifier(registry.download_export(champion, folder))
        rows = read_labelled_tweets(tweets_uri, classifier.metadata.text_column, version).eval
        return predictions_frame(rows, classifier.probabilities(rows["text"].tolist()))


def version_tags(registry: Registry, run: Any, reason: str) -> dict[str, str]:
    """Return the tags of a version: its origin, and the reason why it was or was not promoted."""
    tags, params = run.data.tags, run.data.params
    return {
        "reason": reason,
        "preset": tags["preset"],
        "text_column": tags["text_column"],
        "git_commit": tags["git_commit"],
        "table_version": params["dataset.table_version"],
        "dumps": " ".join(registry.dumps_of(run.info.run_id)),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Compare the models of a DAG run and print the result as a line of JSON."""
    arguments = arg_parser().parse_args(argv)
    return command.run(lambda: print(json.dumps(compare(arguments))))


if __name__ == "__main__":
    sys.exit(main())
