"""Search the hyperparameters of a preset with Optuna. A retry continues the study, which is in a database.

    VAXPULSE_STUDIES=postgresql+psycopg2://... python -m training.tune --preset minilm --trials 20 --tweets
    URI

Each trial trains on the train part. Its value is the smallest training loss on the validation part. A trial
that is worse than the median of the others at the same quarter of the training is pruned. The eval side is
not used. The last line of the output is JSON with the best values: a preset file.
"""

import argparse
import json
import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import optuna

from contracts.exit_status import InputError
from contracts.mlflow_names import TUNING_EXPERIMENT
from training import command
from training.command import TransientError, without_credentials
from training.data.labelled_tweets import read_labelled_tweets
from training.models.presets import TRANSFORMERS, TrainingConfig, positive
from training.options import arg_parser as training_options
from training.options import build_config
from training.parallel import run_in_parallel
from training.recipes import FineTuning
from training.tracking.provenance import airflow_tags, git_commit, process_tags
from training.tracking.registry import Registry
from training.tracking.tracker import MlflowTracker, open_tracker

logger = logging.getLogger("training")
BEST_OBJECTIVE = "validation/best_objective"
HEARTBEAT_SECONDS = 60  # a trial without a heartbeat for three times as long is queued again
STARTUP_TRIALS = 5  # their values are random, and they are not pruned
WORKER_SEEDS = 1000  # between the seeds of two processes, which would try the same values otherwise
MIN_COMPARED_TRIALS = 3  # a trial is pruned only if so many others have reported at the same quarter


def arg_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training.tune", description="Search the hyperparameters of a preset."
    )
    parser.add_argument("--preset", required=True, choices=TRANSFORMERS)
    parser.add_argument("--tweets", required=True, metavar="URI", help="Delta table tweets_clean")
    parser.add_argument(
        "--tweets-version", type=int, metavar="N", help="Delta version to read (default: the latest)"
    )
    parser.add_argument(
        "--trials",
        type=int,
        default=20,
        metavar="N",
        help="trials of the whole study, including earlier ones (default: %(default)s)",
    )
    parser.add_argument(
        "--parallel",
        type=positive(int),
        default=1,
        metavar="N",
        help="run N trials at the same time, in processes (default: %(default)s)",
    )
    parser.add_argument(
        "--worker",
        nargs=2,
        type=int,
        metavar=("NUMBER", "TRIALS"),
        help="run so many trials of a study as its process NUMBER, as --parallel does",
    )
    parser.add_argument("--checkpoint", help="replaces the preset's")
    parser.add_argument("--max-train-rows", type=int, metavar="N", help="search on a sample")
    parser.add_argument("--seed", type=int, default=42, help="(default: %(default)s)")
    parser.add_argument(
        "--experiment", default=TUNING_EXPERIMENT, help="MLflow experiment (default: %(default)s)"
    )
    return parser


def suggest(trial: optuna.Trial) -> dict[str, Any]:
    """Return the hyperparameters of a trial."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 1e-5, 4e-4, log=True),
        "batch_size": trial.suggest_categorical("batch_size", [8, 16, 32]),
        "dropout": trial.suggest_float("dropout", 0.0, 0.3),
        "epochs": trial.suggest_int("epochs", 2, 6),
        "weight_decay": trial.suggest_float("weight_decay", 1e-4, 0.1, log=True),
    }


def open_study(storage_uri: str, name: str, seed: int, worker: int | None = None) -> optuna.Study:
    """Return a study; create it if it does not exist. Trials whose process died are queued again.

    `worker` is the number of this process if several work on the study.

    Raises:
        TransientError: the database does not answer.
    """
    try:
        storage = optuna.storages.RDBStorage(
            storage_uri,
            heartbeat_interval=HEARTBEAT_SECONDS,
            grace_period=3 * HEARTBEAT_SECONDS,
            failed_trial_callback=optuna.storages.RetryFailedTrialCallback(max_retry=2),
        )
    except Exception as error:  # of SQLAlchemy, of the driver, or an invalid URI
        reason = without_credentials(str(error).splitlines()[0])
        raise TransientError(
            f"the database of VAXPULSE_STUDIES cannot be used ({reason}): is PostgreSQL running?"
        ) from None
    pruner = optuna.pruners.MedianPruner(
        n_startup_trials=STARTUP_TRIALS, n_warmup_steps=2, n_min_trials=MIN_COMPARED_TRIALS
    )
    study = optuna.create_study(storage=storage, study_name=name, load_if_exists=True, pruner=pruner)
    # With the same seed a continued search would repeat the values of earlier trials.
    seed += len(study.get_trials(deepcopy=False)) + WORKER_SEEDS * (worker or 0)
    # With `constant_liar` a process avoids the values that others are trying.
    study.sampler = optuna.samplers.TPESampler(
        seed=seed, n_startup_trials=STARTUP_TRIALS, constant_liar=worker is not None
    )
    return study


def count_missing_trials(study: optuna.Study, wanted: int) -> int:
    """Return the number of trials until `wanted` trials are complete or pruned."""
    ended = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    return max(0, wanted - len(study.get_trials(deepcopy=False, states=ended)))


def tune(arguments: argparse.Namespace) -> dict[str, Any]:
    """Search, and return the best hyperparameters.

    Raises:
        NothingToDo: no tweet has a label.
        InputError: the input is wrong.
        TransientError: HDFS, MLflow or the database of the study does not answer.
    """
    storage_uri = os.environ.get("VAXPULSE_STUDIES", "")
    if not storage_uri:
        raise InputError("the study would be lost: set VAXPULSE_STUDIES to the SQLAlchemy URI of a database")
    tracker = open_tracker(arguments.experiment)
    options = ["--preset", arguments.preset, "--tweets", arguments.tweets, "--seed", str(arguments.seed)]
    options += ["--checkpoint", arguments.checkpoint] if arguments.checkpoint else []
    config = build_config(training_options().parse_args(options))
    assert isinstance(config, TrainingConfig)
    tweets = read_labelled_tweets(
        arguments.tweets, config.text_column, arguments.tweets_version, arguments.max_train_rows
    )
    recipe = FineTuning(config)
    identity = {"config_digest": recipe.digest(), "dataset_digest": tweets.digest()}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    name = f"{config.preset}-" + "-".join(digest[:12] for digest in identity.values())
    worker, share = arguments.worker or (None, 0)
    study = open_study(storage_uri, name, arguments.seed, worker)

    from training.fine_tuning.fine_tune import fine_tune
    from training.fine_tuning.pruning import PruneByObjective

    origin = {"preset": config.preset, "study": study.study_name, "git_commit": git_commit()}
    tags = identity | origin | airflow_tags() | process_tags()
    tracker.mark_gone_runs({})

    def objective(trial: optuna.Trial) -> float:
        tried, tuned = replace(config, **suggest(trial)), None
        parent = study.user_attrs["mlflow_run_id"]
        with (
            tracker.run(f"trial {trial.number}", tags | {"trial": str(trial.number)}, parent=parent),
            tempfile.TemporaryDirectory() as scratch,
        ):
            tracker.log_params(asdict(tried))
            rows = tweets.train, tweets.validation
            inputs = tried, recipe.checkpoint, *rows, Path(scratch), tracker.log_metrics
            with suppress(optuna.TrialPruned):  # raised below: within the block the run would fail
                tuned = fine_tune(*inputs, on_evaluation=PruneByObjective(trial))
            if tuned is not None:
                tracker.log_metrics({BEST_OBJECTIVE: tuned.best_objective}, tuned.steps)
            else:
                tracker.log_metrics({"pruned": 1}, 0)
        if tuned is None:
            raise optuna.TrialPruned
        found = trial.number, tuned.best_objective, trial.params
        logger.info("trial %d: objective of the validation part %.4f with %s", *found)
        return tuned.best_objective

    if worker is not None:
        study.optimize(objective, n_trials=share)
        return {}
    # A continued search continues its MLflow run too.
    with tracker.run(f"search {config.preset}", tags, run_id=study.user_attrs.get("mlflow_run_id")) as run_id:
        study.set_user_attr("mlflow_run_id", run_id)
        missing = count_missing_trials(study, arguments.trials)
        if arguments.parallel > 1:
            shares = [len(range(number, missing, arguments.parallel)) for number in range(arguments.parallel)]
            same_rows = [*arguments.command_line, "--tweets-version", str(tweets.table_version)]
            commands = [
                [*same_rows, "--worker", str(number), str(trials)]
                for number, trials in enumerate(shares)
                if trials
            ]
            run_in_parallel("training.tune", commands, arguments.parallel)
        else:
            study.optimize(objective, n_trials=missing)
        best = dict(study.best_params)
        trials = study.trials_dataframe().to_csv()
        tracker.log_files({"preset.json": json.dumps(best, indent=2).encode(), "trials.csv": trials.encode()})
        is_whole = arguments.max_train_rows is None and arguments.checkpoint is None
        if isinstance(tracker, MlflowTracker) and is_whole:
            Registry(arguments.experiment).keep_tuned_settings(config.preset, best)
        tracker.log_metrics({BEST_OBJECTIVE: study.best_value, "trials": len(study.trials)}, 0)
    logger.info(
        "best of %d trials: objective of the validation part %.4f (trial %d)",
        *(len(study.trials), study.best_value, study.best_trial.number),
    )
    return best


def main(argv: Sequence[str] | None = None) -> int:
    """Search the hyperparameters and print the best ones as a line of JSON."""
    arguments = arg_parser().parse_args(argv)
    arguments.command_line = sys.argv[1:] if argv is None else argv
    return command.run(lambda: print(json.dumps(tune(arguments))))


if __name__ == "__main__":
    sys.exit(main())
