"""Search the settings of a preset with Optuna; the study is kept in a database, so a search that was ended goes on.

    VAXPULSE_STUDIES=postgresql+psycopg2://... python -m training.tune --preset minilm --trials 20 --tweets hdfs://localhost:8020/vaxpulse/tables/tweets_clean

Each trial trains on the train part and is judged by its smallest training loss on the validation part; one that is worse than half of the
others at the same quarter of its training is pruned. The eval side is not looked at. The last line of the output is the best settings as JSON: a preset file.
"""

import argparse
import json
import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import optuna

from training.checkpoints import checkpoint_sha256, resolve_checkpoint
from training.data import read_labelled_tweets
from training.errors import TrainingError
from training.exit_status import exit_status
from training.options import arg_parser as training_options
from training.options import config_of
from training.presets import PRESETS, TrainingConfig
from training.provenance import airflow_tags, git_commit, library_versions, process_tags
from training.tracking import open_tracker, without_credentials

logger = logging.getLogger("training")
BEST_LOSS = "best_validation_training_loss"
HEARTBEAT_SECONDS = 60  # a trial whose process gives no sign for thrice as long is tried again
STARTUP_TRIALS = 5  # at random, and never pruned
COMPARED_TRIALS = 3  # so many must have come as far before one is pruned there: some end early


def arg_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training.tune", description="Search the settings of a preset."
    )
    parser.add_argument("--preset", required=True, choices=PRESETS)
    parser.add_argument("--tweets", required=True, metavar="URI", help="Delta table tweets_clean")
    parser.add_argument(
        "--trials",
        type=int,
        default=20,
        metavar="N",
        help="of the whole study, earlier ones included (default: %(default)s)",
    )
    parser.add_argument("--checkpoint", help="instead of the preset's")
    parser.add_argument("--max-train-rows", type=int, metavar="N", help="search on a sample")
    parser.add_argument("--seed", type=int, default=42, help="(default: %(default)s)")
    parser.add_argument(
        "--experiment", default="vaxpulse-tuning", help="MLflow experiment (default: %(default)s)"
    )
    return parser


def suggest(trial: optuna.Trial) -> dict[str, Any]:
    """The settings of a trial."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 1e-5, 4e-4, log=True),
        "batch_size": trial.suggest_categorical("batch_size", [8, 16, 32]),
        "dropout": trial.suggest_float("dropout", 0.0, 0.3),
        "epochs": trial.suggest_int("epochs", 2, 6),
        "weight_decay": trial.suggest_float("weight_decay", 1e-4, 0.1, log=True),
    }


def open_study(storage_uri: str, name: str, seed: int) -> optuna.Study:
    """The study of this name, made where there is none. A trial whose process died is queued again.

    Raises:
        TrainingError: the database does not answer.
    """
    try:
        storage = optuna.storages.RDBStorage(
            storage_uri,
            heartbeat_interval=HEARTBEAT_SECONDS,
            grace_period=3 * HEARTBEAT_SECONDS,
            failed_trial_callback=optuna.storages.RetryFailedTrialCallback(max_retry=2),
        )
    except Exception as error:  # SQLAlchemy's, the driver's, a URI that is none: the advice is the same
        reason = without_credentials(str(error).splitlines()[0])
        raise TrainingError(
            f"the database of VAXPULSE_STUDIES cannot be used ({reason}): is PostgreSQL running?"
        ) from None
    # A search that goes on would otherwise draw again what it has tried.
    known = (
        len(storage.get_all_trials(storage.get_study_id_from_name(name), deepcopy=False))
        if name in optuna.get_all_study_names(storage)
        else 0
    )
    return optuna.create_study(
        storage=storage,
        study_name=name,
        load_if_exists=True,
        direction="minimize",
        sampler=optuna.samplers.TPESampler(seed=seed + known, n_startup_trials=STARTUP_TRIALS),
        pruner=optuna.pruners.MedianPruner(
            n_startup_trials=STARTUP_TRIALS, n_warmup_steps=2, n_min_trials=COMPARED_TRIALS
        ),
    )


def remaining_trials(study: optuna.Study, wanted: int) -> int:
    """How many trials are missing to so many that ended, well or pruned."""
    ended = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    return max(0, wanted - len(study.get_trials(deepcopy=False, states=ended)))


def tune(arguments: argparse.Namespace) -> dict[str, Any]:
    """The whole search, from top to bottom; returns the best settings.

    Raises:
        NothingToTrain: no tweet has a label.
        TrainingError: something outside the code is wrong.
    """
    storage_uri = os.environ.get("VAXPULSE_STUDIES", "")
    if not storage_uri:
        raise TrainingError(
            "nothing keeps the study: set VAXPULSE_STUDIES to the SQLAlchemy URI of a database"
        )
    tracker = open_tracker(arguments.experiment)
    options = ["--preset", arguments.preset, "--tweets", arguments.tweets, "--seed", str(arguments.seed)]
    options += ["--checkpoint", arguments.checkpoint] if arguments.checkpoint else []
    config = config_of(training_options().parse_args(options))
    tweets = read_labelled_tweets(
        arguments.tweets, config.text_column, max_train_rows=arguments.max_train_rows
    )
    checkpoint = resolve_checkpoint(config.checkpoint)
    identity = {
        "config_digest": config.digest(checkpoint_sha256(checkpoint), library_versions()),
        "dataset_digest": tweets.digest(),
    }
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = open_study(
        storage_uri,
        f"{config.preset}-" + "-".join(digest[:12] for digest in identity.values()),
        arguments.seed,
    )

    from training.fine_tuning import fine_tune
    from training.machine import choose_device, choose_threads
    from training.pruning import PruneByValidationLoss

    device, threads = choose_device(), choose_threads()
    tags = (
        identity
        | {"preset": config.preset, "study": study.study_name, "git_commit": git_commit()}
        | airflow_tags()
        | process_tags()
    )
    tracker.mark_gone_runs({})

    def objective(trial: optuna.Trial) -> float:
        tried: TrainingConfig = replace(config, **suggest(trial))
        with (
            tracker.run(f"trial {trial.number}", tags | {"trial": str(trial.number)}),
            tempfile.TemporaryDirectory() as scratch,
        ):
            tracker.log_params(asdict(tried))
            rows = (tweets.train, tweets.validation)
            callbacks = [PruneByValidationLoss(trial)]
            try:
                tuned = fine_tune(
                    tried,
                    checkpoint,
                    *rows,
                    device,
                    threads,
                    Path(scratch),
                    50,
                    tracker.log_metrics,
                    callbacks,
                )
            except (
                optuna.TrialPruned
            ) as pruned:  # the run has ended as it should; MLflow would take the exception for a failure
                tracker.log_metrics({"pruned": 1}, 0)
                outcome: float | optuna.TrialPruned = pruned
            else:
                outcome = min(loss for _, loss in tuned.curves["validation"])
                tracker.log_metrics({BEST_LOSS: outcome}, tuned.steps)
        if isinstance(outcome, optuna.TrialPruned):
            raise outcome
        logger.info(
            "trial %d: training loss on the validation part %.4f with %s", trial.number, outcome, trial.params
        )
        return outcome

    # A search that goes on continues its run in MLflow too.
    with tracker.run(f"search {config.preset}", tags, run_id=study.user_attrs.get("mlflow_run_id")) as run_id:
        study.set_user_attr("mlflow_run_id", run_id)
        study.optimize(objective, n_trials=remaining_trials(study, arguments.trials))
        best = dict(study.best_params)
        tracker.log_files(
            {
                "preset.json": json.dumps(best, indent=2).encode(),
                "trials.csv": study.trials_dataframe().to_csv().encode(),
            }
        )
        tracker.log_metrics({BEST_LOSS: study.best_value, "trials": len(study.trials)}, 0)
    logger.info(
        "best of %d trials: training loss on the validation part %.4f (trial %d)",
        len(study.trials),
        study.best_value,
        study.best_trial.number,
    )
    return best


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 with a line of JSON, SKIPPED without labelled tweets, 1 with one line on stderr when something outside is wrong."""
    arguments = arg_parser().parse_args(argv)
    return exit_status(lambda: print(json.dumps(tune(arguments))))


if __name__ == "__main__":
    sys.exit(main())
