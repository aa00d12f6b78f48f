"""Train a classifier on labelled tweets and record the run. All models use this script.

    python -m training.train --preset minilm --tweets hdfs://localhost:8020/vaxpulse/tables/tweets_clean

Reads `tweets_clean`, trains on the train side, selects weights and precision on its validation part, and
evaluates once on the eval side. Parameters, losses, metrics, the dataset with its Delta version and the model
as ONNX are recorded in MLflow (MLFLOW_TRACKING_URI). --output writes them to a folder as well.
"""

import argparse
import hashlib
import json
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd

from contracts.exit_status import InputError, NothingToDo
from contracts.labels import LABELS
from contracts.mlflow_names import (
    COMPARED_TAG,
    EVAL_ACCURACY,
    EVAL_MACRO_F1,
    EVAL_RMSE,
    TRAIN_SAMPLES_PER_SECOND,
    TRAIN_SECONDS,
)
from training import command
from training.command import without_credentials
from training.data.distillation import DistillationData, read_distillation_data
from training.data.labelled_tweets import LabelledTweets, read_labelled_tweets
from training.fine_tuning.training_state import state_folder, training_state
from training.models.presets import TRAINER_VERSION, NgramConfig, TrainingConfig
from training.options import arg_parser, build_config
from training.recipes import choose_recipe
from training.scheduled import scheduled_config
from training.tracking.provenance import airflow_tags, git_commit, library_versions, process_tags
from training.tracking.registry import Registry
from training.tracking.tracker import DESCRIPTION_TAG, FinishedRun, MlflowTracker, Tracker, open_tracker

logger = logging.getLogger("training")

# Requirements of every logged model. A recipe has more.
MODEL_REQUIREMENTS = ("numpy", "pandas", "mlflow")
SUMMARY = (EVAL_ACCURACY, EVAL_MACRO_F1, EVAL_RMSE, TRAIN_SECONDS, TRAIN_SAMPLES_PER_SECOND)


def train(arguments: argparse.Namespace) -> None:
    """Train, evaluate and record one model.

    Raises:
        NothingToDo: no tweet has a label, or the result of a finished run is up to date.
        InputError: the input is invalid. If an MLflow run was already started, it is marked as failed.
        TransientError: HDFS, MLflow or the Hugging Face hub is unavailable.
    """
    config = build_config(arguments)
    tracker = open_tracker(arguments.experiment)
    if not isinstance(tracker, MlflowTracker) and arguments.output is None:
        raise InputError("the trained model would be lost: set MLFLOW_TRACKING_URI or give --output FOLDER")
    if arguments.keep_recipe:
        config = scheduled_config(config, Registry(arguments.experiment), tracker)

    tweets = read_labelled_tweets(
        arguments.tweets, config.text_column, arguments.tweets_version, config.max_train_rows
    )
    sizes = ", ".join(f"{len(rows):,} {name}" for name, rows in tweets.parts().items())
    logger.info("%s rows of %s version %d", sizes, tweets.uri, tweets.table_version)
    try:
        distillation = distillation_data_for(config, tweets, arguments)
    except InputError as lost:
        if not arguments.keep_recipe:
            raise
        logger.info("without the teacher of the champion's recipe: %s", lost)
        config, distillation = replace(config, teacher=None), None
    recipe, libraries = choose_recipe(config), library_versions()
    identity = {"config_digest": recipe.digest(), "dataset_digest": digest_of(tweets, distillation)}
    if (run := find_up_to_date_run(tracker, identity, tweets, arguments)) is not None:
        hand_over_to_comparison(tracker, *run)
        return

    if arguments.devices > 1 and isinstance(config, TrainingConfig) and "WORLD_SIZE" not in os.environ:
        # Only after the checks, because torchrun does not pass on their exit statuses.
        check_devices(config, arguments.devices)
        versions = ["--tweets-version", str(tweets.table_version)]
        if distillation:
            versions += ["--scores-version", str(distillation.scores_version)]
        options = [*arguments.command_line, *versions]  # the same rows in each process
        command.restart_with_torchrun("training.train", options, arguments.devices)

    from training.evaluation.evaluate import evaluate  # after the checks, because it imports matplotlib

    device = recipe.device()
    record: dict[str, Any] = {
        "config": asdict(config),
        "checkpoint_sha256": recipe.weights_sha256,
        "trainer_version": TRAINER_VERSION,
        "dataset": dataset_facts(tweets),
        "distillation": distillation.facts() if distillation else {},
        "device": device,
        "libraries": libraries,
    }
    try_tags = identity | airflow_tags()
    origin = {"preset": config.preset, "text_column": config.text_column, "git_commit": git_commit()}
    tags = try_tags | origin | process_tags()
    is_first = os.environ.get("RANK", "0") == "0"  # only the first of torchrun's processes logs and writes
    tracker = tracker if is_first else Tracker()
    tracker.mark_gone_runs(try_tags if "airflow_run_id" in try_tags else {})
    name = "-".join(digest[:16] for digest in identity.values())
    with (
        # The run ends first: if MLflow has lost metrics, the state stays for the retry.
        training_state(arguments.state or state_folder(), name, is_first) as state,
        tracker.run(config.preset, tags, system_metrics=device["kind"] == "cuda") as run_id,
        tempfile.TemporaryDirectory() as scratch,
    ):
        tracker.log_params(flatten(record))
        tracker.log_dataset(tweets)

        described = [device[name] for name in ("name", "precision", "threads")]
        logger.info("%s on %s, %s, %d threads", config.preset, *described)
        rows = distillation.rows if distillation else tweets.train
        intervals = {name: getattr(arguments, name) for name in ("log_every_steps", "validate_every_steps")}
        fitted = recipe.fit(rows, tweets.validation, state, tracker.log_metrics, **intervals)
        if not is_first:
            return

        onnx, saved = Path(scratch) / "onnx", Path(scratch) / "weights"
        facts = origin | {"table_version": tweets.table_version}
        facts |= {"train_label_shares": record["dataset"]["label_shares"]}
        exported = recipe.export(fitted, onnx, saved, tweets.validation["text"].tolist(), **facts)
        title = f"{config.preset}, {len(tweets.eval):,} held-out tweets"
        evaluation = evaluate(onnx, tweets, fitted.curves, title, config.seed)
        evaluation.metadata.write(onnx)

        metrics = fitted.metrics | evaluation.metrics
        dumps = sorted({*tweets.dumps, *(distillation.dumps if distillation else ())})
        record |= {"tags": tags, "metrics": metrics, "dumps": dumps} | exported
        record["tables"] = {
            name: json.loads(table.to_json(orient="records")) for name, table in evaluation.tables.items()
        }
        files = evaluation.files | {"training_run.json": json.dumps(record, indent=2).encode()}
        if arguments.output is not None:
            if saved.is_dir():
                shutil.copytree(saved, arguments.output, dirs_exist_ok=True)
            shutil.copytree(onnx, arguments.output / "onnx", dirs_exist_ok=True)
            for file, content in files.items():
                (arguments.output / file).write_bytes(content)
        # Log the model before the metrics, so that MLflow shows the metrics with the model.
        requirements = [
            f"{package}=={libraries[package]}" for package in (*recipe.requirements, *MODEL_REQUIREMENTS)
        ]
        tracker.log_model(onnx, requirements, flatten(record["dataset"]) | tags)
        tracker.log_metrics(metrics, fitted.steps)
        tracker.log_tables(evaluation.tables)
        tracker.set_tags(run_id, {DESCRIPTION_TAG: describe(config, tweets, metrics)})
        tracker.log_files(files, *([saved] if saved.is_dir() else []))

    summary = "%s: accuracy %.4f, macro-F1 %.4f, RMSE %.4f; trained in %.0f s, %.0f samples/s"
    logger.info(summary, config.preset, *(metrics[metric] for metric in SUMMARY))


def check_devices(config: TrainingConfig, devices: int) -> None:
    """Raise InputError if the machine has fewer GPUs, or if a batch cannot be divided among the devices."""
    import torch

    gpus = torch.cuda.device_count()
    if 0 < gpus < devices:
        raise InputError(f"--devices {devices} is more than the {gpus} GPUs of this machine")
    if config.batch_size % devices:
        raise InputError(
            f"a batch of {config.batch_size} rows cannot be divided among {devices} devices: set --batch-size"
        )


def distillation_data_for(
    config: TrainingConfig | NgramConfig, tweets: LabelledTweets, arguments: argparse.Namespace
) -> DistillationData | None:
    """Return the training rows with the scores of the config's teacher, None without a teacher."""
    if config.teacher is None:
        return None
    if arguments.scores is None:
        raise InputError("--teacher needs --scores, the table tweets_scored with the teacher's scores")
    distillation = read_distillation_data(tweets, arguments.scores, config.teacher, arguments.scores_version)
    facts = distillation.facts()
    logger.info(
        "distilling version %d of the registered model: scores of %s labelled and %s unlabelled tweets",
        *(config.teacher, f"{facts['labelled_rows']:,}", f"{facts['unlabelled_rows']:,}"),
    )
    return distillation


def digest_of(tweets: LabelledTweets, distillation: DistillationData | None) -> str:
    """Return the SHA-256 of all rows that influence the model or its evaluation."""
    if distillation is None:
        return tweets.digest()
    return hashlib.sha256(f"{tweets.digest()} {distillation.digest()}".encode()).hexdigest()


def find_up_to_date_run(
    tracker: Tracker, identity: Mapping[str, str], tweets: LabelledTweets, arguments: argparse.Namespace
) -> tuple[FinishedRun, str] | None:
    """Return the finished run that makes this training unnecessary, and the reason. None if there is none.

    With --skip-if-trained this is a run of the same training. With --min-growth it is a run of the same
    config, if the labelled rows have not grown enough since then.
    """
    if arguments.skip_if_trained and (runs := tracker.finished_runs(identity)):
        return runs[0], f"MLflow run {runs[0].run_id} has already trained this config on these rows"
    same_settings = {"config_digest": identity["config_digest"]}
    if arguments.min_growth is not None and (runs := tracker.finished_runs(same_settings)):
        run, rows = runs[0], sum(map(len, tweets.parts().values()))
        if rows < run.labelled_rows * (1 + arguments.min_growth):
            return run, (
                f"{rows:,} labelled tweets are less than {arguments.min_growth:.0%} more than the "
                f"{run.labelled_rows:,} of MLflow run {run.run_id}, which trained the same config"
            )
    return None


def hand_over_to_comparison(tracker: Tracker, run: FinishedRun, reason: str) -> None:
    """Assign a finished run to this DAG run if its model was not compared yet. Otherwise raise NothingToDo.

    Without this, a model would never be compared if MLflow was unavailable after its training. If the worker
    died after the training, the run already belongs to this DAG run. In both cases the task must succeed
    instead of being skipped, so that the downstream tasks run.
    """
    tags = airflow_tags()
    belongs_here = run.tags.get("airflow_run_id") == tags.get("airflow_run_id")
    if "airflow_run_id" not in tags or (COMPARED_TAG in run.tags and not belongs_here):
        raise NothingToDo(reason)
    logger.info("%s; this DAG run compares its model", reason)
    tracker.set_tags(run.run_id, tags)


def dataset_facts(tweets: LabelledTweets) -> dict[str, Any]:
    """Return URI, version, digest and sizes of the dataset, and the label shares of the train part."""
    sizes = {f"{name}_rows": len(rows) for name, rows in tweets.parts().items()}
    return {
        "uri": without_credentials(tweets.uri),
        "table_version": tweets.table_version,
        "digest": tweets.digest(),
        **sizes,
        "labelled_rows": sum(sizes.values()),
        "dumps": len(tweets.dumps),
        "label_shares": {
            str(label): round(float((tweets.train["label"] == label).mean()), 4) for label in LABELS
        },
    }


def describe(
    config: TrainingConfig | NgramConfig, tweets: LabelledTweets, metrics: Mapping[str, float]
) -> str:
    """Return the description of a run in MLflow."""
    return (
        f"`{config.preset}` on `{config.text_column}` of version {tweets.table_version} of `tweets_clean`, "
        f"{len(tweets.train):,} training rows. On {len(tweets.eval):,} held-out tweets: accuracy "
        f"{metrics[EVAL_ACCURACY]:.1%}, macro-F1 {metrics[EVAL_MACRO_F1]:.3f}, RMSE {metrics[EVAL_RMSE]:.3f}."
    )


def flatten(tree: dict[str, Any]) -> dict[str, Any]:
    """Return nested dictionaries as one, with keys joined by dots.

    >>> flatten({"seed": 7, "device": {"kind": "cpu"}})
    {'seed': 7, 'device.kind': 'cpu'}
    """
    flat: dict[str, Any] = pd.json_normalize(tree).to_dict("records")[0]
    return flat


def main(argv: Sequence[str] | None = None) -> int:
    """Train one model."""
    arguments = arg_parser().parse_args(argv)
    arguments.command_line = sys.argv[1:] if argv is None else argv
    return command.run(lambda: train(arguments))


if __name__ == "__main__":
    sys.exit(main())
