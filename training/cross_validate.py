"""Cross-validate a preset on the train side.

    python -m training.cross_validate fold --name NAME --folds 5 --preset minilm --tweets URI
    python -m training.cross_validate summary --name NAME --folds 5 --report FOLDER

Folds are stratified by label and grouped by text_group, so that the model of a fold is not trained on its
texts. Each fold is a run in MLflow; the summary is another.
The eval side is not used. A retry of a fold resumes its training, or does nothing if the fold is finished.
"""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd

from contracts.exit_status import InputError
from contracts.mlflow_names import CROSS_VALIDATION_EXPERIMENT
from reporting.page import Section, Table, render
from training import command
from training.data.labelled_tweets import LabelledTweets, is_validation, open_table, read_labelled_tweets
from training.evaluation.metrics import HEADLINES
from training.fine_tuning.training_state import state_folder, training_state
from training.models.presets import positive
from training.options import add_config_options, build_config
from training.parallel import run_in_parallel
from training.recipes import choose_recipe
from training.tracking.provenance import airflow_tags, git_commit, process_tags
from training.tracking.report_files import write_file
from training.tracking.tracker import open_tracker

logger = logging.getLogger("training")
FOLD_METRICS = tuple(f"fold/{name}" for name in HEADLINES)


def arg_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training.cross_validate", description="Cross-validate a preset on the train side."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    fold, summary = commands.add_parser("fold"), commands.add_parser("summary")
    for each in (fold, summary):
        each.add_argument(
            "--name", required=True, help="name of the cross-validation, the same for all folds"
        )
        each.add_argument("--folds", type=int, required=True, metavar="N")
        each.add_argument(
            "--experiment",
            default=CROSS_VALIDATION_EXPERIMENT,
            help="MLflow experiment (default: %(default)s)",
        )
    fold.add_argument("--fold", type=int, metavar="I", help="number of the fold, from 0 (default: all folds)")
    fold.add_argument(
        "--parallel",
        type=positive(int),
        default=1,
        metavar="N",
        help="train N of the folds at the same time, in processes (default: %(default)s)",
    )
    add_config_options(fold)
    fold.set_defaults(teacher=None)
    summary.add_argument(
        "--report", metavar="FOLDER", help="write report.html here: hdfs://host:port/path or a folder"
    )
    return parser


def parts_of_fold(
    tweets: LabelledTweets, fold: int, folds: int
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return the rows for training, for early stopping, and of the fold itself.

    Raises:
        InputError: there are fewer texts than folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    rows = pd.concat([tweets.train, tweets.validation]).sort_values("tweet_id", ignore_index=True)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=0)
    try:
        splits = list(splitter.split(rows, rows["label"], rows["text_group"]))
    except ValueError as error:
        raise InputError(
            f"{len(rows)} labelled tweets cannot be divided into {folds} folds: {error}"
        ) from None
    others, held_out = (rows.iloc[numbers].reset_index(drop=True) for numbers in splits[fold])
    stops = others["text_group"].map(is_validation)
    return others[~stops].reset_index(drop=True), others[stops].reset_index(drop=True), held_out


def run_folds(arguments: argparse.Namespace) -> dict[str, float] | list[dict[str, float]]:
    """Return the metrics of a fold, or of all folds if the command line names none."""
    if arguments.fold is not None:
        return run_fold(arguments)
    version = str(open_table(arguments.tweets, arguments.tweets_version).version())
    same_rows = [*arguments.command_line, "--tweets-version", version]
    commands = [[*same_rows, "--fold", str(fold)] for fold in range(arguments.folds)]
    outputs = run_in_parallel("training.cross_validate", commands, arguments.parallel)
    return [json.loads(output.splitlines()[-1]) for output in outputs]


def run_fold(arguments: argparse.Namespace) -> dict[str, float]:
    """Train on the other folds, evaluate on this one, and return its metrics."""
    config = build_config(arguments)
    tracker = open_tracker(arguments.experiment)
    tweets = read_labelled_tweets(
        arguments.tweets, config.text_column, arguments.tweets_version, arguments.max_train_rows
    )
    recipe = choose_recipe(config)
    place = {"cross_validation": arguments.name, "fold": str(arguments.fold), "folds": str(arguments.folds)}
    digests = {"config_digest": recipe.digest(), "dataset_digest": tweets.digest()}
    if finished := tracker.finished_runs(place | digests):
        logger.info("MLflow run %s has finished fold %d", finished[0].run_id, arguments.fold)
        return {name: finished[0].metrics[name] for name in FOLD_METRICS}
    train, stop, held_out = parts_of_fold(tweets, arguments.fold, arguments.folds)

    from training.evaluation.evaluate import headlines

    origin = {"preset": config.preset, "git_commit": git_commit()} | airflow_tags() | process_tags()
    tracker.mark_gone_runs(place)
    digest = "-".join(value[:16] for value in digests.values())
    state_name = f"{digest}-fold-{arguments.fold}-of-{arguments.folds}"
    with (
        training_state(state_folder(), state_name) as state,
        tracker.run(f"{config.preset}, fold {arguments.fold}", place | digests | origin),
    ):
        facts = {"table_version": tweets.table_version, "folds": arguments.folds, "fold_rows": len(held_out)}
        tracker.log_params(asdict(config) | facts)
        fitted = recipe.fit(train, stop, state, tracker.log_metrics)
        found = headlines(fitted.probabilities(held_out["text"].tolist()), held_out)
        metrics = {f"fold/{name}": value for name, value in found.items()}
        tracker.log_metrics(metrics | fitted.metrics, fitted.steps)
    return metrics


def summarise(arguments: argparse.Namespace) -> dict[str, float]:
    """Record mean and standard deviation over the folds as a run, with a table and a report, and return them.

    Raises:
        InputError: a fold has no finished run.
    """
    tracker = open_tracker(arguments.experiment)
    runs = tracker.finished_runs({"cross_validation": arguments.name})
    # The latest run of a fold is the last in reverse order.
    folds = {int(run.tags["fold"]): run.metrics for run in reversed(runs)}
    if missing := sorted(set(range(arguments.folds)) - set(folds)):
        raise InputError(f"the cross-validation {arguments.name} has no finished run of the folds {missing}")
    table = pd.DataFrame(
        {f"fold {fold}": [folds[fold][name] for name in FOLD_METRICS] for fold in sorted(folds)},
        index=list(HEADLINES),
    ).T
    mean, deviation = table.mean(), table.std()
    table.loc["mean"], table.loc["standard deviation"] = mean, deviation
    found = {f"mean/{name}": float(mean[name]) for name in HEADLINES}
    found |= {f"spread/{name}": float(deviation[name]) for name in HEADLINES}
    preset = runs[0].tags["preset"]
    title = f"{arguments.folds} folds of {preset}"
    rows = [[name, *(f"{value:.4f}" for value in values)] for name, values in table.iterrows()]
    section = Section(
        "Metrics of each fold",
        "Each fold was predicted by a model that was not trained on any copy of its texts. The folds divide "
        "the train side; the eval side was not used.",
        tables=[Table(["", *HEADLINES], rows)],
    )
    page = render(title, {"Cross-validation": arguments.name}, [section]).encode()
    tags = {"preset": preset, "summary_of": arguments.name} | airflow_tags()
    with tracker.run(f"{preset}, {arguments.folds} folds", tags):
        tracker.log_metrics(found, 0)
        tracker.log_files({"folds.csv": table.to_csv().encode(), "folds.html": page})
    if arguments.report:
        write_file(arguments.report, "report.html", page)
    logger.info("%s:\n%s", title, table.to_string(float_format="{:.4f}".format))
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Train a fold or summarise all, and print the metrics as a line of JSON."""
    arguments = arg_parser().parse_args(argv)
    arguments.command_line = sys.argv[1:] if argv is None else argv
    work = run_folds if arguments.command == "fold" else summarise
    return command.run(lambda: print(json.dumps(work(arguments))))


if __name__ == "__main__":
    sys.exit(main())
