"""Compare the models of a DAG run with the champion, register them, and say whether the best one deserves to replace it.

    python -m training.compare --airflow-run-id ID --tweets hdfs://localhost:8020/vaxpulse/tables/tweets_clean --report FOLDER

Every model gets a version that says what was found. The last line of the output is JSON: the version of the best candidate, whether it is to
be promoted (training.promote does that), why, and the version of the champion that it was compared with.
"""

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import pandas as pd

from training.comparison import METRICS, Decision, Rule, best_candidate, decide, metrics_on_rows_of
from training.comparison_page import comparison_chart, comparison_page, csv_table
from training.data import read_labelled_tweets
from training.errors import TrainingError
from training.evaluation import predictions_frame
from training.exit_status import exit_status
from training.onnx_classifier import OnnxClassifier
from training.registry import Registry
from training.reports import write_file
from training.tracking import open_tracker

logger = logging.getLogger("training")


def arg_parser() -> argparse.ArgumentParser:
    """The command line."""
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
        help="Delta table tweets_clean, for eval rows that the champion has not seen",
    )
    parser.add_argument(
        "--report", metavar="FOLDER", help="put report.html here: hdfs://host:port/path or a folder"
    )
    parser.add_argument("--experiment", default="vaxpulse", help="(default: %(default)s)")
    parser.add_argument("--metric", choices=METRICS, default="macro_f1", help="(default: %(default)s)")
    parser.add_argument(
        "--margin",
        type=float,
        default=0.0,
        help="by more than which it must be better; below 0 it may be worse by less than that (default: %(default)s)",
    )
    parser.add_argument(
        "--confidence",
        type=float,
        default=0.95,
        help="share of resamples in which it must be (default: %(default)s)",
    )
    return parser


def compare(arguments: argparse.Namespace) -> dict[str, Any]:
    """The whole comparison, from top to bottom; returns what the last line says.

    Raises:
        TrainingError: MLflow or the table cannot be read, or the DAG run has no finished run.
    """
    open_tracker(arguments.experiment)  # says so when nobody answers
    registry, rule = (
        Registry(arguments.experiment),
        Rule(arguments.metric, arguments.margin, arguments.confidence),
    )
    runs = {run.data.tags["preset"]: run for run in registry.runs_of(arguments.airflow_run_id)}
    if not runs:
        raise TrainingError(
            f"MLflow has no finished run of the DAG run {arguments.airflow_run_id}: nothing to compare"
        )
    champion = registry.champion()

    best = best_candidate(
        {name: run.data.metrics[f"validation_{rule.metric}"] for name, run in runs.items()}, rule.metric
    )
    predictions = registry.predictions(runs[best].info.run_id)
    champion_metrics: dict[str, float] = {}
    if champion is None:
        decision = decide(predictions, None, rule)
    elif champion.run_id == runs[best].info.run_id:  # a second try of this comparison
        decision = Decision(False, "it is the champion already")
        champion_metrics = registry.run(champion.run_id).data.metrics
    else:
        version = int(runs[best].data.params["dataset.delta_version"])
        of_champion = champion_predictions(registry, champion, predictions, arguments.tweets, version)
        decision = decide(predictions, of_champion, rule)
        champion_metrics = registry.run(champion.run_id).data.metrics | metrics_on_rows_of(
            predictions, of_champion
        )

    versions = {}
    for name, run in runs.items():
        verdict = (
            decision.reason
            if name == best
            else f"{best} of the same DAG run has the better validation_{rule.metric}"
        )
        versions[name] = registry.register(run, version_tags(registry, run, verdict))
    old = None if champion is None else str(champion.version)
    outcome = "to be promoted" if decision.promote else "not promoted"
    models = {f"{name} (version {versions[name]})": run.data.metrics for name, run in runs.items()}
    if champion is not None:
        models[f"champion (version {old})"] = champion_metrics
    chart = comparison_chart(models)
    page = comparison_page(models, f"{best}, version {versions[best]}: {outcome}", decision.reason, chart)
    registry.log_files(
        runs[best].info.run_id,
        {"comparison.html": page, "comparison.png": chart, "comparison.csv": csv_table(models)},
    )
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
    """The champion's answers on the candidate's eval rows: those it gave when it was trained, and new ones where tweets came since.

    `version` is that of the table which the candidate was judged on.
    """
    known = registry.predictions(champion.run_id)
    if set(candidate["tweet_id"]) <= set(known["tweet_id"]):
        return known
    with tempfile.TemporaryDirectory() as folder:
        classifier = OnnxClassifier(registry.download_export(champion, folder))
        rows = read_labelled_tweets(tweets_uri, classifier.metadata["text_column"], version).eval
        return predictions_frame(rows, classifier.probabilities(rows["text"].tolist()))


def version_tags(registry: Registry, run: Any, reason: str) -> dict[str, str]:
    """What a version says of itself: where it comes from, and what became of it."""
    tags, params = run.data.tags, run.data.params
    return {
        "reason": reason,
        "preset": tags["preset"],
        "text_column": tags["text_column"],
        "git_commit": tags["git_commit"],
        "delta_version": params["dataset.delta_version"],
        "dumps": " ".join(registry.dumps_of(run.info.run_id)),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 with a line of JSON, 1 with one line on stderr when something outside is wrong."""
    arguments = arg_parser().parse_args(argv)
    return exit_status(lambda: print(json.dumps(compare(arguments))))


if __name__ == "__main__":
    sys.exit(main())
