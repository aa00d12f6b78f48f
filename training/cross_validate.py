"""Cross-validate a preset on the train side: each fold's texts are judged by a model that has seen no copy of them.

    python -m training.cross_validate fold --name NAME --fold 0 --folds 5 --preset minilm --tweets URI
    python -m training.cross_validate summary --name NAME --report FOLDER

Folds are stratified by label and grouped by text_group. Each is one run in MLflow; the summary draws their table. The eval side is not looked at.
"""

import argparse
import json
import logging
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from training.checkpoints import resolve_checkpoint
from training.data import LabelledTweets, is_validation, read_labelled_tweets
from training.errors import TrainingError
from training.exit_status import exit_status
from training.options import arg_parser as training_options
from training.options import config_of
from training.presets import PRESETS
from training.provenance import airflow_tags, git_commit, process_tags
from training.reports import write_file
from training.tracking import open_tracker

logger = logging.getLogger("training")
METRICS = ("accuracy", "macro_f1", "rmse", "loss", "ece")

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>Cross-validation</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem }}
table {{ border-collapse: collapse }} td, th {{ text-align: right; padding: .3rem .8rem; border-bottom: 1px solid #8886 }}
</style>
<h1>{title}</h1>
{table}
<p>Each fold was judged by a model that had seen no copy of its texts. Folds are of the train side; the eval side was not looked at.</p>
</html>
"""


def arg_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training.cross_validate", description="Cross-validate a preset on the train side."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    fold, summary = commands.add_parser("fold"), commands.add_parser("summary")
    for command in (fold, summary):
        command.add_argument("--name", required=True, help="of this cross-validation: the same for all folds")
        command.add_argument(
            "--experiment",
            default="vaxpulse-cross-validation",
            help="MLflow experiment (default: %(default)s)",
        )
    fold.add_argument("--fold", type=int, required=True, metavar="I", help="from 0")
    fold.add_argument("--folds", type=int, required=True, metavar="N")
    fold.add_argument("--preset", required=True, choices=PRESETS)
    fold.add_argument("--tweets", required=True, metavar="URI", help="Delta table tweets_clean")
    fold.add_argument("--tweets-version", type=int, metavar="N", help="instead of the newest")
    fold.add_argument("--preset-file", metavar="FILE", help="JSON of values instead of the preset's")
    fold.add_argument("--checkpoint", help="instead of the preset's")
    fold.add_argument("--max-train-rows", type=int, metavar="N")
    summary.add_argument("--folds", type=int, required=True, metavar="N")
    summary.add_argument(
        "--report", metavar="FOLDER", help="put report.html here: hdfs://host:port/path or a folder"
    )
    return parser


def parts_of_fold(
    tweets: LabelledTweets, fold: int, folds: int
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Rows to train on, to stop by, and to judge by: the fold's own.

    Raises:
        TrainingError: there are fewer texts of a label than folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    rows = pd.concat([tweets.train, tweets.validation]).sort_values("tweet_id", ignore_index=True)
    try:
        splits = list(
            StratifiedGroupKFold(folds, shuffle=True, random_state=0).split(
                rows, rows["label"], rows["text_group"]
            )
        )
    except ValueError as error:
        raise TrainingError(
            f"{len(rows)} labelled tweets cannot be cut into {folds} folds: {error}"
        ) from None
    others, judged = (rows.iloc[numbers].reset_index(drop=True) for numbers in splits[fold])
    stops = others["text_group"].map(is_validation)
    return others[~stops].reset_index(drop=True), others[stops].reset_index(drop=True), judged


def run_fold(arguments: argparse.Namespace) -> dict[str, float]:
    """Train on the other folds and judge this one; returns its metrics."""
    options = ["--preset", arguments.preset, "--tweets", arguments.tweets]
    for name in ("preset_file", "checkpoint"):
        if value := getattr(arguments, name):
            options += [f"--{name.replace('_', '-')}", value]
    config = config_of(training_options().parse_args(options))
    tracker = open_tracker(arguments.experiment)
    tweets = read_labelled_tweets(
        arguments.tweets, config.text_column, arguments.tweets_version, arguments.max_train_rows
    )
    train, stop, judged = parts_of_fold(tweets, arguments.fold, arguments.folds)
    checkpoint = resolve_checkpoint(config.checkpoint)

    from training.evaluation import class_ids_of
    from training.fine_tuning import fine_tune
    from training.machine import choose_device, choose_threads
    from training.metrics import classification_metrics
    from training.modelling import torch_probabilities

    own = {"cross_validation": arguments.name, "fold": str(arguments.fold)}
    tags = own | {"preset": config.preset, "git_commit": git_commit()} | airflow_tags() | process_tags()
    tracker.mark_gone_runs(own)
    with (
        tracker.run(f"{config.preset}, fold {arguments.fold}", tags),
        tempfile.TemporaryDirectory() as scratch,
    ):
        tracker.log_params(
            asdict(config)
            | {"delta_version": tweets.delta_version, "folds": arguments.folds, "fold_rows": len(judged)}
        )
        tuned = fine_tune(
            config,
            checkpoint,
            train,
            stop,
            choose_device(),
            choose_threads(),
            Path(scratch),
            50,
            tracker.log_metrics,
        )
        probabilities = torch_probabilities(tuned.model, tuned.tokenizer, judged["text"].tolist())
        found = classification_metrics(probabilities, class_ids_of(judged))
        metrics = {f"fold_{name}": found[name] for name in METRICS}
        tracker.log_metrics(metrics | tuned.metrics, tuned.steps)
    return metrics


def summarise(arguments: argparse.Namespace) -> dict[str, float]:
    """Mean and spread over the folds, as a run of its own with a table, and as a page.

    Raises:
        TrainingError: a fold has no finished run.
    """
    tracker = open_tracker(arguments.experiment)
    runs = tracker.finished_runs({"cross_validation": arguments.name})
    folds = {
        int(run.tags["fold"]): run.metrics for run in reversed(runs) if "fold" in run.tags
    }  # of two tries the newer one
    if missing := sorted(set(range(arguments.folds)) - set(folds)):
        raise TrainingError(
            f"the cross-validation {arguments.name} has no finished run of the folds {missing}"
        )
    table = pd.DataFrame(
        {f"fold {fold}": {name: folds[fold][f"fold_{name}"] for name in METRICS} for fold in sorted(folds)}
    ).T
    table.loc["mean"], table.loc["standard deviation"] = (
        table.mean(),
        [statistics.stdev(table[name]) for name in METRICS],
    )
    found = {
        f"{figure}_{name}": float(table.loc[row, name])
        for figure, row in (("mean", "mean"), ("spread", "standard deviation"))
        for name in METRICS
    }
    preset = runs[0].tags["preset"]
    title = f"{arguments.folds} folds of {escape(preset)}"
    page = PAGE.format(title=title, table=table.to_html(float_format="{:.4f}".format, border=0)).encode()
    with tracker.run(
        f"{preset}, {arguments.folds} folds",
        {"preset": preset, "summary_of": arguments.name} | airflow_tags(),
    ):
        tracker.log_metrics(found, 0)
        tracker.log_files({"folds.csv": table.to_csv().encode(), "folds.html": page})
    if arguments.report:
        write_file(arguments.report, "report.html", page)
    logger.info("%s:\n%s", title, table.to_string(float_format="{:.4f}".format))
    return found


COMMANDS: Mapping[str, Any] = {"fold": run_fold, "summary": summarise}


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 with a line of JSON, SKIPPED without labelled tweets, 1 with one line on stderr when something outside is wrong."""
    arguments = arg_parser().parse_args(argv)
    return exit_status(lambda: print(json.dumps(COMMANDS[arguments.command](arguments))))


if __name__ == "__main__":
    sys.exit(main())
