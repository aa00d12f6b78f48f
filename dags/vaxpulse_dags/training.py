"""Tasks and form fields of the training DAGs."""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import Param, XComArg

from contracts.mlflow_names import COMPARISON_METRICS
from vaxpulse_airflow.command import CommandOperator
from vaxpulse_dags.assets import DRIFT, TWEETS_CLEAN, TWEETS_SCORED
from vaxpulse_dags.tasks import build_options

# Presets of the trainer. dags/ does not import training/; a test compares them.
PRESETS = ["minilm", "mpnet", "bert", "roberta", "distilbert", "xlnet", "gpt2", "bertweet"]
PRESET_PARAM = Param("minilm", type="string", enum=PRESETS, title="Model")
SETTINGS_PARAM = Param(
    None,
    type=["object", "null"],
    title="Settings",
    description="Hyperparameters that override the preset, for example from tune_classifier. "
    'Example: {"learning_rate": 0.0001}.',
)

# Trigger form of `train_classifiers`.
TRAIN_PARAMS = {
    "presets": Param(
        ["minilm"],
        type="array",
        minItems=1,
        uniqueItems=True,
        items={"type": "string", "enum": PRESETS},
        examples=PRESETS,
        title="Models",
        description="Models to train, one at a time.",
    ),
    "settings": SETTINGS_PARAM,
    "teacher": Param(
        None,
        type=["integer", "null"],
        minimum=1,
        title="Teacher",
        description="Version number of a registered model whose scores are in tweets_scored. The new models "
        "are also trained on these scores, including those of unlabelled tweets. Applies to this run only: "
        "scheduled runs have no teacher.",
    ),
    "train_again": Param(
        False,
        type="boolean",
        title="Train again",
        description="Train even if MLflow has a finished run with the same settings and the same tweets.",
    ),
    "growth": Param(
        0.1,
        type="number",
        minimum=0,
        exclusiveMaximum=1,
        title="Growth",
        description="If new tweets triggered the run, it trains only after the number of labelled tweets has "
        "grown by at least this share.",
    ),
    "metric": Param(
        "macro_f1", type="string", enum=list(COMPARISON_METRICS), title="Metric of the comparison"
    ),
    "margin": Param(
        0.0,
        type="number",
        minimum=-0.2,
        title="Margin",
        description="Required improvement. "
        "A negative value also accepts a smaller model that is slightly worse.",
    ),
    "confidence": Param(
        0.95,
        type="number",
        exclusiveMinimum=0,
        maximum=1,
        title="Confidence",
        description="Share of bootstrap samples that must show the required improvement.",
    ),
    "require_approval": Param(
        False,
        type="boolean",
        title="Require approval",
        description="A user must approve a better model before it becomes the champion.",
    ),
}

# BERT takes 2.5 hours on a CPU, larger models take longer. A retry resumes the training.
TRAINING_TIMEOUT = timedelta(hours=12)

# Shell script: run the command "$@" and pass the JSON document $0 as its preset file on stdin.
WITH_SETTINGS = 'printf %s "$0" | "$@" --preset-file=/dev/stdin'


def training_command(module: str, *arguments: str, **options: Any) -> list[str]:
    """Return the command line of a module of `training`.

    >>> training_command("cross_validate", "fold", tweets_version=3)
    ['python', '-m', 'training.cross_validate', 'fold', '--tweets-version=3']
    """
    return ["python", "-m", f"training.{module}", *arguments, *build_options(options)]


def training_task(
    task_id: str, command: list[str] | XComArg, *, trains: bool = False, **operator_arguments: Any
) -> Any:
    """Return the task that runs a command of `training`, or one mapped task for each command of an XCom.

    Args:
        task_id: name of the task.
        command: command line, or the XCom of a list of command lines.
        trains: whether the command trains models. Such tasks run one at a time and have a longer timeout.
        operator_arguments: further arguments of CommandOperator.
    """
    # Only the workers of this queue have the libraries of `training`. A LocalExecutor ignores queues.
    settings: dict[str, Any] = {"task_id": task_id, "queue": "gpu"}
    if trains:
        settings |= {"pool": "gpu", "execution_timeout": TRAINING_TIMEOUT}
    settings |= operator_arguments
    if isinstance(command, XComArg):
        return CommandOperator.partial(**settings).expand(command=command)
    return CommandOperator(command=command, **settings)


def low_priority(command: Sequence[str], settings: Mapping[str, Any] | None = None) -> list[str]:
    """Return a training command with `settings` as its preset file and with low CPU priority (nice 10)."""
    with_settings = ["sh", "-c", WITH_SETTINGS, json.dumps(settings)] if settings else []
    return ["nice", "-n", "10", *with_settings, *command]


def build_training_commands(
    params: Mapping[str, Any],
    changed_assets: Sequence[str],
    is_manual: bool,
    version: int | None,
    scores_version: int | None,
) -> list[list[str]]:
    """Return the command line of each chosen preset of `train_classifiers`.

    Args:
        params: values of the trigger form.
        changed_assets: names of the Assets that triggered the run. Empty for scheduled and manual runs.
        is_manual: whether a user triggered the run.
        version: version of tweets_clean that all presets use. None if the table does not exist.
        scores_version: version of tweets_scored, likewise.
    """
    teacher = params["teacher"]
    only_new_tweets = TWEETS_CLEAN.name in changed_assets and DRIFT.name not in changed_assets
    options = {
        "tweets": TWEETS_CLEAN.uri,
        "tweets_version": version,
        "skip_if_trained": not (is_manual and params["train_again"]),
        "min_growth": params["growth"] if only_new_tweets else None,
        "teacher": teacher,
        "scores": TWEETS_SCORED.uri if teacher else None,
        "scores_version": scores_version if teacher else None,
    }
    return [
        low_priority(training_command("train", preset=preset, **options), params["settings"])
        for preset in params["presets"]
    ]


def build_fold_commands(params: Mapping[str, Any], run_id: str, version: int | None) -> list[list[str]]:
    """Return the command line of each fold of `cross_validate`. All use the same version of tweets_clean."""
    options = {"name": run_id, "tweets": TWEETS_CLEAN.uri, "tweets_version": version}
    options |= {name: params[name] for name in ("preset", "folds")}
    return [
        low_priority(training_command("cross_validate", "fold", fold=fold, **options), params["settings"])
        for fold in range(params["folds"])
    ]
