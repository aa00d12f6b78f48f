"""Fine-tune a transformer on labelled tweets and record everything about it. The same script for every model.

    python -m training.train --preset minilm --tweets hdfs://localhost:8020/vaxpulse/tables/tweets_clean

Reads `tweets_clean`, trains on its train side, judges on its eval side, and records parameters, losses, metrics, the
dataset with its Delta version and the model in MLflow (MLFLOW_TRACKING_URI) and, with --output, in a folder.
"""

import argparse
import json
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from training.checkpoints import resolve_checkpoint, weights_sha256
from training.data import LabelledTweets, read_labelled_tweets
from training.errors import NothingToTrain, TrainingError
from training.options import arg_parser, config_of
from training.tracking import NullTracker, open_tracker, without_credentials

logger = logging.getLogger("training")

# Airflow's BashOperator takes this exit status for "skipped", not for success: the Asset of the models does not change.
SKIPPED = 99


def train(arguments: argparse.Namespace) -> None:
    """The whole run, from top to bottom.

    Raises:
        NothingToTrain: no tweet has a label, or a finished run has trained the same config on the same rows.
        TrainingError: something outside the code is wrong; nothing was trained, or the MLflow run is marked as failed.
    """
    config = config_of(arguments)
    tracker = open_tracker(arguments.experiment)
    if isinstance(tracker, NullTracker) and arguments.output is None:
        raise TrainingError("nothing would keep the trained model: set MLFLOW_TRACKING_URI or give --output FOLDER")

    tweets = read_labelled_tweets(arguments.tweets, config.text_column, arguments.tweets_version, config.max_train_rows)
    logger.info("%d train and %d eval rows of %s version %d", len(tweets.train), len(tweets.eval), tweets.uri, tweets.delta_version)
    checkpoint = resolve_checkpoint(config.checkpoint)
    weights = weights_sha256(checkpoint)

    identity = {"config_digest": config.digest(weights), "dataset_digest": tweets.digest()}
    if arguments.skip_if_trained and (run_id := tracker.finished_run(identity)):
        raise NothingToTrain(f"MLflow run {run_id} has already trained this config on these rows")

    # torch and transformers take seconds to import: everything that can say no has been asked by now.
    from training.fine_tuning import classifier_of, fine_tune
    from training.machine import choose_device, choose_threads, git_commit, library_versions
    from training.metrics import confusion_counts, confusion_picture

    device, threads = choose_device(), choose_threads()
    record: dict[str, Any] = {
        "config": asdict(config),
        "weights_sha256": weights,
        "dataset": dataset_facts(tweets),
        "device": asdict(device) | {"threads": threads},
        "libraries": library_versions(),
    }
    tags = identity | {"preset": config.preset, "text_column": config.text_column, "git_commit": git_commit()} | airflow_tags()
    with tracker.run(config.preset, tags), tempfile.TemporaryDirectory() as scratch:
        tracker.log_params(flatten(record))
        tracker.log_dataset(tweets)

        logger.info("%s on %s, %s, %d threads", config.preset, device.name, device.precision, threads)
        steps = arguments.log_every_steps
        tuned = fine_tune(config, checkpoint, tweets.train, tweets.eval, device, threads, Path(scratch), steps, tracker.log_metrics)

        record |= {"tags": tags, "metrics": tuned.metrics}
        document = json.dumps(record, indent=2).encode()
        counts = confusion_counts(tuned.probabilities, tuned.class_ids)
        picture = confusion_picture(counts, f"{config.preset}, {len(tweets.eval):,} held-out tweets")
        if arguments.output is not None:
            tuned.model.save_pretrained(arguments.output)
            tuned.tokenizer.save_pretrained(arguments.output)
            (arguments.output / "training_run.json").write_bytes(document)
            (arguments.output / "confusion_matrix.png").write_bytes(picture)
        requirements = [f"{name}=={record['libraries'][name]}" for name in ("torch", "transformers")]
        # The model first: metrics logged after it stand beside it in MLflow.
        tracker.log_model(classifier_of(tuned), requirements, record)
        tracker.log_metrics(tuned.metrics, tuned.steps)
        tracker.log_file(document, "training_run.json")
        tracker.log_file(picture, "confusion_matrix.png")

    names = ("eval_accuracy", "eval_macro_f1", "eval_rmse", "train_runtime_seconds", "train_samples_per_second")
    summary = "%s: accuracy %.4f, macro-F1 %.4f, RMSE %.4f; trained in %.0f s, %.0f samples/s"
    logger.info(summary, config.preset, *(tuned.metrics[name] for name in names))


def dataset_facts(tweets: LabelledTweets) -> dict[str, Any]:
    """Where the rows come from and what they are."""
    return {
        "uri": without_credentials(tweets.uri),
        "delta_version": tweets.delta_version,
        "digest": tweets.digest(),
        "train_rows": len(tweets.train),
        "eval_rows": len(tweets.eval),
    }


def airflow_tags() -> dict[str, str]:
    """Which DAG run started this one, where Airflow did: its BashOperator sets these variables."""
    variables = {"airflow_dag_id": "AIRFLOW_CTX_DAG_ID", "airflow_run_id": "AIRFLOW_CTX_DAG_RUN_ID"}
    return {tag: os.environ[variable] for tag, variable in variables.items() if os.environ.get(variable)}


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries as one, keys joined by dots.

    >>> flatten({"seed": 7, "device": {"kind": "cpu"}})
    {'seed': 7, 'device.kind': 'cpu'}
    """
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 when trained, SKIPPED when there was nothing to train, 1 with one line on stderr when something outside is wrong."""
    arguments = arg_parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("training").setLevel(logging.INFO)
    # Airflow ends a task by SIGTERM; as an exception it unwinds the run, which MLflow then marks as failed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        train(arguments)
    except NothingToTrain as reason:
        logger.info("skipped: %s", without_credentials(str(reason)))
        return SKIPPED
    except TrainingError as error:
        print(f"error: {without_credentials(str(error))}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
