"""Register the models of a DAG run, compare the best one with the champion, and decide whether to promote it.

    python -m training.compare --airflow-run-id ID --tweets URI --report FOLDER

The last line of the output is JSON: the version of the best candidate, whether to promote it
(`training.promote` or the option --first-champion does so), the reason, and the champion's version.
"""

import argparse
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from contracts.exit_status import NothingToDo
from contracts.mlflow_names import COMPARISON_METRICS, TRAINING_EXPERIMENT
from contracts.task_output import EVENT
from training import command
from training.evaluation.comparison import PromotionPolicy, best_candidate
from training.evaluation.comparison_page import ComparedModel, comparison_chart, comparison_page, csv_table
from training.models.presets import BASELINE
from training.promotion_gate import added_value, compare_with, metrics_of_run
from training.tracking.model_card import model_card
from training.tracking.registry import Registry
from training.tracking.report_files import write_file
from training.tracking.tracker import open_tracker

logger = logging.getLogger("training")


def arg_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training.compare", description="Compare the models of a DAG run with the champion."
    )
    add = parser.add_argument
    add("--airflow-run-id", required=True, metavar="ID", help="tag airflow_run_id of the runs to compare")
    add(
        "--tweets",
        required=True,
        metavar="URI",
        help="Delta table tweets_clean, for eval rows that the champion has not predicted yet",
    )
    add("--report", metavar="FOLDER", help="write report.html here: hdfs://host:port/path or a folder")
    add("--experiment", default=TRAINING_EXPERIMENT, help="(default: %(default)s)")
    add("--metric", choices=COMPARISON_METRICS, default="rmse", help="(default: %(default)s)")
    add(
        "--min-agreement",
        type=float,
        default=0.34,
        metavar="SHARE",
        help="compare only rows whose label at least this share of the annotators gave (default: "
        "%(default)s, which leaves out labels of one annotator in three)",
    )
    add(
        "--margin",
        type=float,
        default=0.0,
        help="required improvement; a negative value also accepts a smaller model that is slightly worse "
        "(default: %(default)s)",
    )
    add(
        "--confidence",
        type=float,
        default=0.95,
        help="share of the resamples that must show the improvement (default: %(default)s)",
    )
    add(
        "--champion",
        choices=("compare", "replace"),
        default="compare",
        help="replace: promote without a comparison, for example if the champion's files are lost (default: "
        "%(default)s)",
    )
    add(
        "--first-champion",
        action="store_true",
        help="if there is no champion, promote the best candidate at once; otherwise do nothing",
    )
    return parser


def compare(arguments: argparse.Namespace) -> dict[str, Any]:
    """Compare, register and report; return the result.

    Raises:
        NothingToDo: with --first-champion, if there is a champion.
        NothingToDo: the DAG run has no finished run.
        InputError: the table cannot be read.
        TransientError: MLflow or HDFS does not answer.
    """
    open_tracker(arguments.experiment)  # checks that MLflow answers
    registry = Registry(arguments.experiment)
    policy = PromotionPolicy(
        arguments.metric, arguments.margin, arguments.confidence, arguments.min_agreement
    )
    runs = registry.latest_runs("airflow_run_id", arguments.airflow_run_id)
    if not runs:
        raise NothingToDo(f"MLflow has no finished run of the DAG run {arguments.airflow_run_id}")
    validation_metric = f"validation/{policy.metric}"
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
    decision, opponent_figures = compare_with(registry, opponent, runs[best], policy, arguments)

    figures = {name: metrics_of_run(registry, run) for name, run in runs.items()}
    versions = {}
    for name, run in runs.items():
        reason = (
            decision.reason
            if name == best
            else f"{best} of the same DAG run has a better value of {validation_metric}"
        )
        if champion is not None and champion.run_id == run.info.run_id:
            reason = champion.tags.get("reason", reason)  # why it was promoted
        tags = version_tags(run, reason)
        card = model_card(run.data.params, figures[name], tags["preset"], tags["text_column"], reason)
        versions[name] = registry.register(run, tags, card)
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
    if not decision.promote and not is_champion:
        registry.challenge(versions[best])

    outcome = "to be promoted" if decision.promote else "the champion" if is_champion else "not promoted"
    headline = f"{best}, version {versions[best]}: {outcome}"
    models = [
        compared_model(registry, f"{name} (version {versions[name]})", run, figures[name])
        for name, run in runs.items()
        if opponent is None or run.info.run_id != opponent.run_id  # it is added below
    ]
    if opponent is not None:
        title = f"{'champion' if champion else 'former champion'} (version {opponent.version})"
        models.append(compared_model(registry, title, registry.run(opponent.run_id), opponent_figures))
    models += models_of_earlier_runs(registry, runs, opponent)
    transformers = {name: value for name, value in validation.items() if name != BASELINE}
    added = []
    if transformers:
        added = added_value(registry, best_candidate(transformers, policy.metric), runs, opponent)
    page, chart = comparison_page(models, headline, result["reason"], added), comparison_chart(models)
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


def compared_model(
    registry: Registry, name: str, run: Any | None, figures: dict[str, float]
) -> ComparedModel:
    """Return a model of the report. `run` is None if its run was deleted."""
    if run is None:
        return ComparedModel(name, figures)
    return ComparedModel(name, figures, run.data.metrics, registry.curves(run.info.run_id))


def models_of_earlier_runs(
    registry: Registry, runs: Mapping[str, Any], opponent: Any | None
) -> list[ComparedModel]:
    """Return the latest model of each preset on the same rows, without candidates and opponent."""
    shown = {run.info.run_id for run in runs.values()} | ({opponent.run_id} if opponent else set())
    digest = next(iter(runs.values())).data.tags["dataset_digest"]
    return [
        compared_model(registry, f"{name} (earlier run)", run, metrics_of_run(registry, run))
        for name, run in registry.latest_runs("dataset_digest", digest).items()
        if run.info.run_id not in shown
    ]


def version_tags(run: Any, reason: str) -> dict[str, str]:
    """Return the tags of a version: its origin, and the reason why it was or was not promoted."""
    tags, params = run.data.tags, run.data.params
    return {
        "reason": reason,
        "preset": tags["preset"],
        "text_column": tags["text_column"],
        "git_commit": tags["git_commit"],
        "table_version": params["dataset.table_version"],
    }


def print_result(result: Mapping[str, Any]) -> None:
    """Print the result as a line of JSON. It describes the Asset event of a promotion."""
    event = {EVENT: {"version": int(result["version"])}} if result["promote"] else {}
    print(json.dumps({**result, **event}))


def main(argv: Sequence[str] | None = None) -> int:
    """Compare the models of a DAG run and print the result as a line of JSON."""
    arguments = arg_parser().parse_args(argv)
    return command.run(lambda: print_result(compare(arguments)))


if __name__ == "__main__":
    sys.exit(main())
