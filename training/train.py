"""Fine-tune a transformer on labelled tweets and record everything about it. The same script for every model.

    python -m training.train --preset minilm --tweets hdfs://localhost:8020/vaxpulse/tables/tweets_clean

Reads `tweets_clean`, trains on its train side, stops and chooses by a validation part of it, judges once on its eval side, and records
parameters, losses, metrics, the dataset with its Delta version and the model as ONNX in MLflow (MLFLOW_TRACKING_URI) and, with --output, in a
folder.
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
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.checkpoints import checkpoint_sha256, resolve_checkpoint
from training.data import LabelledTweets, read_labelled_tweets
from training.errors import NothingToTrain, TrainingError
from training.exit_status import exit_status
from training.labels import LABELS
from training.options import arg_parser, config_of
from training.presets import TRAINER_VERSION, TrainingConfig
from training.provenance import airflow_tags, git_commit, library_versions, process_tags
from training.teacher import Lessons, read_lessons
from training.tracking import NullTracker, Tracker, open_tracker, without_credentials
from training.unfinished import state_folder, unfinished

if TYPE_CHECKING:
    from training.fine_tuning import FineTuned

logger = logging.getLogger("training")

# What the logged model needs to answer, and no more.
MODEL_REQUIREMENTS = ("onnxruntime", "tokenizers", "numpy", "pandas", "mlflow")


def train(arguments: argparse.Namespace) -> None:
    """The whole run, from top to bottom.

    Raises:
        NothingToTrain: no tweet has a label, or a finished run makes another one needless.
        TrainingError: something outside the code is wrong; nothing was trained, or the MLflow run is marked as failed.
    """
    config = config_of(arguments)
    tracker = open_tracker(arguments.experiment)
    if isinstance(tracker, NullTracker) and arguments.output is None:
        raise TrainingError(
            "nothing would keep the trained model: set MLFLOW_TRACKING_URI or give --output FOLDER"
        )

    tweets = read_labelled_tweets(
        arguments.tweets, config.text_column, arguments.tweets_version, config.max_train_rows
    )
    sizes = ", ".join(f"{len(rows):,} {name}" for name, rows in tweets.parts().items())
    logger.info("%s rows of %s version %d", sizes, tweets.uri, tweets.delta_version)
    checkpoint = resolve_checkpoint(config.checkpoint)
    weights, libraries = checkpoint_sha256(checkpoint), library_versions()
    lessons = lessons_of(config, tweets, arguments)
    identity = {
        "config_digest": config.digest(weights, libraries),
        "dataset_digest": digest_of(tweets, lessons),
    }
    if arguments.skip_if_trained and is_second_try(tracker, identity):
        return
    require_work(tracker, identity, tweets, arguments)

    # torch and transformers take seconds to import: everything that can say no has been asked by now.
    from training.evaluation import evaluate
    from training.export import add_facts, check_parity, export_onnx
    from training.fine_tuning import fine_tune
    from training.machine import choose_device, choose_threads
    from training.modelling import save_classifier

    device, threads = choose_device(), choose_threads()
    record: dict[str, Any] = {
        "config": asdict(config),
        "checkpoint_sha256": weights,
        "trainer_version": TRAINER_VERSION,
        "dataset": dataset_facts(tweets),
        "lessons": lessons.facts() if lessons else {},
        "device": asdict(device) | {"threads": threads, "processes": int(os.environ.get("WORLD_SIZE", "1"))},
        "libraries": libraries,
    }
    try_tags = identity | airflow_tags()
    tags = (
        try_tags
        | {"preset": config.preset, "text_column": config.text_column, "git_commit": git_commit()}
        | process_tags()
    )
    is_first = os.environ.get("RANK", "0") == "0"  # of torchrun's processes one speaks and writes for all
    tracker = tracker if is_first else NullTracker()
    tracker.mark_gone_runs(try_tags if "airflow_run_id" in try_tags else {})
    name = "-".join(digest[:16] for digest in identity.values())
    with (
        tracker.run(config.preset, tags),
        unfinished(arguments.state or state_folder(), name, is_first) as state,
        tempfile.TemporaryDirectory() as scratch,
    ):
        tracker.log_params(flatten(record))
        tracker.log_dataset(tweets)

        logger.info("%s on %s, %s, %d threads", config.preset, device.name, device.precision, threads)
        steps = arguments.log_every_steps
        learnt = lessons.rows if lessons else tweets.train
        tuned = fine_tune(
            config, checkpoint, learnt, tweets.validation, device, threads, state, steps, tracker.log_metrics
        )
        if not is_first:
            return

        onnx, saved = Path(scratch) / "onnx", Path(scratch) / "weights"
        export_onnx(tuned.model, tuned.tokenizer, onnx, model_facts(record, tags))
        parity = check_parity(onnx, tuned.model, tuned.tokenizer, tweets.validation["text"].tolist())
        judged = evaluate(
            onnx, tweets, tuned.curves, f"{config.preset}, {len(tweets.eval):,} held-out tweets", config.seed
        )
        add_facts(onnx, judged.facts)
        save_classifier(tuned.model, tuned.tokenizer, saved)

        metrics = tuned.metrics | judged.metrics | {"onnx_largest_difference": parity}
        dumps = sorted({*tweets.dumps, *(lessons.dumps if lessons else ())})
        record |= {"tags": tags, "metrics": metrics, "dumps": dumps}
        files = judged.files | {"training_run.json": json.dumps(record, indent=2).encode()}
        if arguments.output is not None:
            keep(arguments.output, tuned, files, onnx)
        # The model first: metrics logged after it stand beside it in MLflow.
        tracker.log_model(
            onnx,
            [f"{package}=={libraries[package]}" for package in MODEL_REQUIREMENTS],
            flatten(record["dataset"]) | tags,
        )
        tracker.log_metrics(metrics, tuned.steps)
        tracker.log_folder(saved)
        tracker.log_files(files)

    names = (
        "eval_accuracy",
        "eval_macro_f1",
        "eval_rmse",
        "train_runtime_seconds",
        "train_samples_per_second",
    )
    summary = "%s: accuracy %.4f, macro-F1 %.4f, RMSE %.4f; trained in %.0f s, %.0f samples/s"
    logger.info(summary, config.preset, *(metrics[name] for name in names))


def lessons_of(
    config: TrainingConfig, tweets: LabelledTweets, arguments: argparse.Namespace
) -> Lessons | None:
    """What the config's teacher says of the tweets, None where it names no teacher."""
    if config.teacher is None:
        return None
    if arguments.scores is None:
        raise TrainingError("--teacher needs --scores: the table tweets_scored, where its scores are")
    lessons = read_lessons(tweets, arguments.scores, config.teacher, arguments.scores_version)
    facts = lessons.facts()
    logger.info(
        "version %d of the registered model teaches %s labelled and %s unlabelled tweets",
        *(config.teacher, f"{facts['labelled_rows']:,}", f"{facts['unlabelled_rows']:,}"),
    )
    return lessons


def digest_of(tweets: LabelledTweets, lessons: Lessons | None) -> str:
    """64 hexadecimal digits over all that a model learns from and is judged by."""
    return (
        tweets.digest()
        if lessons is None
        else hashlib.sha256(f"{tweets.digest()} {lessons.digest()}".encode()).hexdigest()
    )


def is_second_try(tracker: Tracker, identity: Mapping[str, str]) -> bool:
    """Whether the same DAG run has trained this: its worker died after that, and the next task waits for a success."""
    tags = airflow_tags()
    done = "airflow_run_id" in tags and tracker.finished_runs(
        {**identity, "airflow_run_id": tags["airflow_run_id"]}
    )
    if done:
        logger.info("MLflow run %s of this DAG run has trained this config on these rows", done[0].run_id)
    return bool(done)


def require_work(
    tracker: Tracker, identity: Mapping[str, str], tweets: LabelledTweets, arguments: argparse.Namespace
) -> None:
    """Raises NothingToTrain where a finished run makes this one needless and the command line asks for that question."""
    if arguments.skip_if_trained and (runs := tracker.finished_runs(identity)):
        raise NothingToTrain(f"MLflow run {runs[0].run_id} has already trained this config on these rows")
    same_settings = {"config_digest": identity["config_digest"]}
    if arguments.min_growth is not None and (runs := tracker.finished_runs(same_settings)):
        run, rows = runs[0], sum(map(len, tweets.parts().values()))
        if rows < run.labelled_rows * (1 + arguments.min_growth):
            raise NothingToTrain(
                f"{rows:,} labelled tweets are less than {arguments.min_growth:.0%} more than the {run.labelled_rows:,} that MLflow run "
                f"{run.run_id} has learned from with the same settings"
            )


def dataset_facts(tweets: LabelledTweets) -> dict[str, Any]:
    """Where the rows come from and what they are."""
    sizes = {f"{name}_rows": len(rows) for name, rows in tweets.parts().items()}
    return {
        "uri": without_credentials(tweets.uri),
        "delta_version": tweets.delta_version,
        "digest": tweets.digest(),
        **sizes,
        "labelled_rows": sum(sizes.values()),
        "dumps": len(tweets.dumps),
        "label_shares": {
            str(label): round(float((tweets.train["label"] == label).mean()), 4) for label in LABELS
        },
    }


def model_facts(record: Mapping[str, Any], tags: Mapping[str, str]) -> dict[str, Any]:
    """What scoring should know about a model besides its files."""
    dataset = record["dataset"]
    return {
        "preset": tags["preset"],
        "text_column": tags["text_column"],
        "train_label_shares": dataset["label_shares"],
        "delta_version": dataset["delta_version"],
        "git_commit": tags["git_commit"],
    }


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries as one, keys joined by dots.

    >>> flatten({"seed": 7, "device": {"kind": "cpu"}})
    {'seed': 7, 'device.kind': 'cpu'}
    """
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def keep(folder: Path, tuned: "FineTuned", files: Mapping[str, bytes], onnx: Path) -> None:
    """Put weights, tokenizer, export and documents of a run into a folder."""
    from training.modelling import save_classifier

    save_classifier(tuned.model, tuned.tokenizer, folder)
    shutil.copytree(onnx, folder / "onnx", dirs_exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 when trained, SKIPPED when there was nothing to train, 1 with one line on stderr when something outside is wrong."""
    arguments = arg_parser().parse_args(argv)
    return exit_status(lambda: train(arguments))


if __name__ == "__main__":
    sys.exit(main())
