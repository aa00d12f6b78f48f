"""Tasks of the training DAGs."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import XComArg, get_current_context, task

from vaxpulse_airflow.command import CommandOperator, build_options
from vaxpulse_dags.assets import DRIFT, TWEETS_CLEAN, TWEETS_SCORED
from vaxpulse_dags.tables import latest_version
from vaxpulse_dags.tasks import takes_slot
from vaxpulse_dags.training_form import BASELINE, PRESETS

# Retries for 20 minutes or longer, so that an outage of MLflow before or after a training does not fail the
# run. A training that is retried is resumed.
OUTAGE_RETRIES: dict[str, Any] = {
    "retries": 6,
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=10),
}

# The largest presets take hours on a CPU. A retry resumes the training.
TRAINING_TIMEOUT = timedelta(hours=12)

# Options of the commands whose values are XComs of another task.
VERSION = {"type": ["integer", "null"], "minimum": 0}
FOLD_SCHEMA: dict[str, Any] = {
    "preset": {"enum": PRESETS},
    "tweets_version": VERSION,
    "settings": {"type": ["object", "null"]},
    "folds": {"type": "integer"},
    "fold": {"type": "integer"},
}
TRAIN_SCHEMA: dict[str, Any] = {
    "preset": {"enum": PRESETS},
    "tweets_version": VERSION,
    "settings": {"type": ["object", "null"]},
    "skip_if_trained": {"type": "boolean"},
    "min_growth": {"type": ["number", "null"]},
    "teacher": VERSION,
    "scores_version": VERSION,
    "validate_every_steps": {"type": ["integer", "null"], "minimum": 1},
    "devices": {"type": ["integer", "null"], "minimum": 1},
    "keep_recipe": {"type": "boolean"},
}
PROMOTE_OPTIONS: dict[str, Any] = {
    "options": {
        "version": "{{ ti.xcom_pull(task_ids='compare')['version'] }}",
        "instead_of": "{{ ti.xcom_pull(task_ids='compare')['instead_of'] or '' }}",
    },
    "options_schema": {
        "version": {"type": "string", "pattern": "^[0-9]+$"},
        "instead_of": {"type": "string", "pattern": "^[0-9]*$"},
    },
}
# Scoring and exploring have nice 10. They take minutes, and people wait for their reports.
LOW_PRIORITY = ["nice", "-n", "19"]


def training_command(module: str, *arguments: str, **options: Any) -> list[str]:
    """Return the command line of a module of `training`.

    >>> training_command("cross_validate", "fold", tweets_version=3)
    ['python', '-m', 'training.cross_validate', 'fold', '--tweets-version=3']
    """
    return ["python", "-m", f"training.{module}", *arguments, *build_options(options)]


def training_task(
    task_id: str,
    command: list[str],
    *,
    options: XComArg | Mapping[str, Any] | None = None,
    trains: bool = False,
    low_priority: bool = True,
    **operator_arguments: Any,
) -> Any:
    """Return the task that runs a command of `training`, or one mapped task for each element of an XCom.

    Args:
        task_id: name of the task.
        command: command line.
        options: further options, or the XCom of a list of them. `options_schema` must describe them.
        trains: whether the command trains models. Such tasks run one at a time, with a longer timeout.
        low_priority: whether a training has the lowest CPU priority, and waits for those that have not.
        operator_arguments: further arguments of CommandOperator.
    """
    # Only the workers of this queue have the libraries of `training`. A LocalExecutor ignores queues.
    settings: dict[str, Any] = {"task_id": task_id, "queue": "gpu", "command": command, **OUTAGE_RETRIES}
    if trains:
        settings |= {
            "command": [*LOW_PRIORITY, *command] if low_priority else command,
            **takes_slot("gpu", rare=not low_priority),
            "execution_timeout": TRAINING_TIMEOUT,
        }
    settings |= operator_arguments
    if isinstance(options, XComArg):
        return CommandOperator.partial(**settings).expand(options=options)
    return CommandOperator(options=options, **settings)


def train_models(task_id: str, options: XComArg, **operator_arguments: Any) -> Any:
    """Return the mapped task that trains a model for each element of an XCom."""
    return training_task(
        task_id,
        training_command("train", tweets=TWEETS_CLEAN.uri, scores=TWEETS_SCORED.uri),
        options=options,
        options_schema=TRAIN_SCHEMA,
        inlets=[TWEETS_CLEAN],
        trains=True,
        **operator_arguments,
    )


def build_training_options(
    params: Mapping[str, Any],
    changed_assets: Sequence[str],
    is_manual: bool,
    version: int | None,
    scores_version: int | None,
) -> list[dict[str, Any]]:
    """Return the options of `training.train` for each chosen preset of `train_classifiers`.

    Before the first dump is cleaned, a scheduled run trains nothing.

    Args:
        params: values of the trigger form.
        changed_assets: names of the Assets that triggered the run. Empty for scheduled and manual runs.
        is_manual: whether a user triggered the run.
        version: version of tweets_clean that all presets use. None if the table does not exist.
        scores_version: version of tweets_scored, likewise.
    """
    if version is None and not is_manual:
        return []
    only_new_tweets = TWEETS_CLEAN.name in changed_assets and DRIFT.name not in changed_assets
    options = {
        "tweets_version": version,
        "settings": params["settings"],
        "skip_if_trained": not (is_manual and params["train_again"]),
        "min_growth": params["growth"] if only_new_tweets else None,
        "teacher": params["teacher"],
        "scores_version": scores_version,
        "validate_every_steps": params["validate_every_steps"],
        "devices": params["devices"] if params["devices"] > 1 else None,
        "keep_recipe": not is_manual,
    }
    # Hyperparameters of transformers and their teachers do not apply to the baseline, which stays the same.
    own = dict.fromkeys(("settings", "teacher", "scores_version")) if len(params["presets"]) > 1 else {}
    own |= {"keep_recipe": False}
    return [
        {"preset": preset} | options | (own if preset == BASELINE else {}) for preset in params["presets"]
    ]


def order_trainings(options: list[dict[str, Any]], require_approval: bool) -> dict[str, list[dict[str, Any]]]:
    """Return the options of the trainings before (`baseline`) and after (`others`) the first promotion.

    The baseline comes first if other models follow, and if it may become the champion without approval.
    """
    is_first = len(options) > 1 and not require_approval
    first = [each for each in options if is_first and each["preset"] == BASELINE]
    return {"baseline": first, "others": [each for each in options if each not in first]}


@task
def plan() -> dict[str, list[dict[str, Any]]]:
    """Return the options of the trainings of the current run of `train_classifiers`, in their order.

    One task reads the versions of the tables, so that all models are trained on the same tweets.
    """
    context = get_current_context()
    events = [event for events in context["triggering_asset_events"].values() for event in events]
    options = build_training_options(
        context["params"],
        changed_assets=[event.asset.name for event in events],
        is_manual=context["dag_run"].run_type == "manual",
        version=latest_version(TWEETS_CLEAN.uri),
        scores_version=latest_version(TWEETS_SCORED.uri),
    )
    return order_trainings(options, context["params"]["require_approval"])


# Two tasks, because Airflow cannot map a task over a part of an XCom.
@task
def plan_baseline(planned: Any) -> list[dict[str, Any]]:
    """Return the baseline's options from the result of `plan`, none if it does not precede the others."""
    return planned["baseline"]


@task
def plan_trainings(planned: Any) -> list[dict[str, Any]]:
    """Return the options of the other trainings from the result of `plan`."""
    return planned["others"]


@task.branch(task_id="choose")
def choose_next(comparison: Mapping[str, Any]) -> str | None:
    """Return the task that follows a comparison, None if the best candidate is not promoted."""
    if not comparison["promote"]:
        return None
    return "approve" if get_current_context()["params"]["require_approval"] else "promote"


def build_fold_options(params: Mapping[str, Any], version: int | None) -> list[dict[str, Any]]:
    """Return the options of each fold of `cross_validate`. All use the same version of tweets_clean."""
    options = {name: params[name] for name in ("preset", "folds", "settings")} | {"tweets_version": version}
    return [options | {"fold": fold} for fold in range(params["folds"])]
