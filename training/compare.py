"""Register the models of a DAG run, compare the best one with the champion, and decide whether to promote it.

    python -m training.compare --airflow-run-id ID --tweets URI --report FOLDER

The last line of the output is JSON: the version of the best candidate, whether to promote it
(`training.promote` or the option --first-champion does so), the reason, and the champion's version.
"""

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from contracts.exit_status import InputError, NothingToDo
from contracts.mlflow_names import COMPARISON_METRICS, TRAINING_EXPERIMENT
from onnx_model.exports import open_classifier
from reporting.page import Section
from training import command
from training.data.labelled_tweets import read_labelled_tweets
from training.evaluation.added_value import added_value_section, differences_from
from training.evaluation.comparison import Decision, PromotionPolicy, best_candidate, champion_metrics, decide
from training.evaluation.comparison_page import comparison_chart, comparison_page, csv_table
from training.evaluation.evaluate import predictions_frame
from training.models.presets import BASELINE
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
    parser.add_argument(
        "--champion",
        choices=("compare", "replace"),
        default="compare",
        help="replace: promote without a comparison, if the champion's files are lost (default: %(default)s)",
    )
    parser.add_argument(
        "--first-champion",
        action="store_true",
        help="if there is no champion, promote the best candidate at once; otherwise do nothing",
    )
    return parser


def compare(arguments: argparse.Namespace) -> dict[str, Any]:
    """Compare, register and report; return the result.

    Raises:
        NothingToDo: with --first-champion, if there is a champion.
        InputError: the DAG run has no finished run, or the table cannot be read.
        TransientError: MLflow or HDFS does not answer.
    """
    open_tracker(arguments.experiment)  # checks that MLflow answers
    registry = Registry(arguments.experiment)
    policy = PromotionPolicy(arguments.metric, arguments.margin, arguments.confidence)
    runs = registry.runs_of(arguments.airflow_run_id)
    if not runs:
        raise InputError(f"MLflow has no finished run of the DAG run {arguments.airflow_run_id}")
    validation_metric = f"validation_{policy.metric}"
    validation = {name: run.data.metrics[validation_metric] for name, run in runs.items()}
    best = best_candidate(validation, policy.metric)
    champion = registry.champion()
    opponent = champion or registry.former_champion()
    is_champion = champion is not None and champion.run_id == runs[best].info.run_id
    if arguments.first_champion and champion is not None and not is_champion:
        raise NothingToDo(
            f"version {champion.version} is the champion: {best} is compared with it later, beside the other "
            "models of this DAG run"
        )
    decision, opponent_metrics = compare_with(registry, opponent, runs[best], policy, arguments)

    versions = {}
    for name, run in runs.items():
        reason = (
            decision.reason
            if name == best
            else f"{best} of the same DAG run has a better value of {validation_metric}"
        )
        if champion is not None and champion.run_id == run.info.run_id:
            reason = champion.tags.get("reason", reason)  # why it was promoted
        versions[name] = registry.register(run, version_tags(registry, run, reason))
    result: dict[str, Any] = {
        "preset": best,
        "version": versions[best],
        "promote": decision.promote,
        "reason": decision.reason,
        "instead_of": champion and str(champion.version),
    }
    if opponent is not None and champion is None and not decision.promote:
        # The champion's version was deleted, so that no tweet would be scored.
        result |= {"preset": opponent.tags["preset"], "version": str(opponent.version), "promote": True}
        result["reason"] = f"version {opponent.version} is the champion again: {decision.reason}"

    outcome = "to be promoted" if decision.promote else "the champion" if is_champion else "not promoted"
    models = {
        f"{name} (version {versions[name]})": run.data.metrics
        for name, run in runs.items()
        if opponent is None or run.info.run_id != opponent.run_id  # it is added below
    }
    if opponent is not None:
        title = "champion" if champion else "former champion"
        models[f"{title} (version {opponent.version})"] = opponent_metrics
    chart = comparison_chart(models)
    headline = f"{best}, version {versions[best]}: {outcome}"
    transformers = {name: value for name, value in validation.items() if name != BASELINE}
    added = []
    if transformers:
        chosen = best_candidate(transformers, policy.metric)
        added = added_value(registry, chosen, runs, opponent)
    page = comparison_page(models, headline, result["reason"], chart, added)
    files = {"comparison.html": page, "comparison.png": chart.png, "comparison.csv": csv_table(models)}
    registry.log_files(runs[best].info.run_id, files)
    if arguments.report is not None:
        write_file(arguments.report, "report.html", page)
    if arguments.first_champion and result["promote"]:  # false in a retry after the promotion
        registry.promote(result["version"], result["instead_of"])
    for name, run in runs.items():
        registry.mark_compared(run.info.run_id, versions[name])
    logger.info("%s, version %s: %s: %s", best, versions[best], outcome, result["reason"])
    return result


def compare_with(
    registry: Registry,
    opponent: Any | None,
    run: Any,
    policy: PromotionPolicy,
    arguments: argparse.Namespace,
) -> tuple[Decision, dict[str, float]]:
    """Return whether to promote the model of a run, and the metrics of its opponent.

    Args:
        registry: the registered model.
        opponent: the champion's version, or the latest former champion if no version is the champion.
        run: run of the candidate.
        policy: when to promote.
        arguments: command line.
    """
    if opponent is None:
        return Decision(True, "there is no champion yet"), {}
    metrics = registry.metrics(opponent.run_id)
    if opponent.run_id == run.info.run_id:  # a retry of this comparison after the promotion
        return Decision(False, "it is already the champion"), metrics
    if arguments.champion == "replace":
        return Decision(True, f"a user replaced version {opponent.version} without a comparison"), metrics
    candidate = registry.predictions(run.info.run_id)
    if candidate is None:
        raise InputError(
            f"MLflow has lost the predictions of run {run.info.run_id}: delete it and train again"
        )
    version = int(run.data.params["dataset.table_version"])
    predictions = opponent_predictions(registry, opponent, candidate, arguments.tweets, version)
    return decide(candidate, predictions, policy), metrics | champion_metrics(candidate, predictions)


def opponent_predictions(
    registry: Registry, opponent: Any, candidate: pd.DataFrame, tweets_uri: str, version: int
) -> pd.DataFrame:
    """Return the opponent's predictions for the candidate's eval rows.

    The predictions of the opponent's run are used if they cover these rows. Otherwise its exported model
    predicts the eval side of the table version with which the candidate was evaluated.

    Raises:
        InputError: MLflow has neither of them.
    """
    recorded = registry.predictions(opponent.run_id)
    if recorded is not None and set(candidate["tweet_id"]) <= set(recorded["tweet_id"]):
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
    """Return a section with what a candidate adds over the baseline, none if the baseline is not known.

    The baseline is the candidate with this preset, otherwise the opponent if it has this preset.

    Args:
        registry: the registered model.
        name: preset of the candidate.
        runs: the candidates by preset.
        opponent: the version that the best candidate is compared with.
    """
    run_id = runs[BASELINE].info.run_id if BASELINE in runs else None
    if run_id is None and opponent is not None and opponent.tags.get("preset") == BASELINE:
        run_id = opponent.run_id
    if run_id is None:
        return []
    candidate, baseline = registry.predictions(runs[name].info.run_id), registry.predictions(run_id)
    if candidate is None or baseline is None:  # MLflow has lost them
        return []
    return [added_value_section(name, BASELINE, differences_from(candidate, baseline))]


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
