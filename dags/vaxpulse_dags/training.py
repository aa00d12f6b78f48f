"""Tasks and form fields of the training DAGs."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import Param, XComArg, get_current_context, task

from contracts.mlflow_names import COMPARISON_METRICS
from vaxpulse_airflow.command import CommandOperator, build_options
from vaxpulse_dags.assets import DRIFT, TWEETS_CLEAN, TWEETS_SCORED
from vaxpulse_dags.tables import latest_version

# Presets of the trainer. dags/ does not import training/; a test compares them.
BASELINE = "tfidf"
TRANSFORMERS = [
    *("minilm", "bge-small", "e5-small", "mpnet", "bert"),
    *("roberta", "distilbert", "xlnet", "gpt2", "bertweet"),
]
PRESETS = [BASELINE, *TRANSFORMERS]
PRESET_PARAM = Param("minilm", type="string", enum=PRESETS, title="Model")
TRANSFORMER_PARAM = Param("minilm", type="string", enum=TRANSFORMERS, title="Model")
SETTINGS_PARAM = Param(
    None,
    type=["object", "null"],
    title="Settings",
    description="Hyperparameters that override the preset, for example from tune_classifier. "
    'Example: {"learning_rate": 0.0001}. With several models they do not apply to tfidf.',
)

# Trigger form of `train_classifiers`.
TRAIN_PARAMS = {
    "presets": Param(
        [BASELINE, "minilm"],
        type="array",
        minItems=1,
        uniqueItems=True,
        items={"type": "string", "enum": PRESETS},
        examples=PRESETS,
        title="Models",
        description="Models to train, one at a time. tfidf is the baseline, which takes seconds.",
    ),
    "settings": SETTINGS_PARAM,
    "teacher": Param(
        None,
        type=["integer", "null"],
        minimum=1,
        title="Teacher",
        description="Version number of a registered model whose scores are in tweets_scored. The new models "
        "are also trained on these scores, including those of unlabelled tweets.",
    ),
    "train_again": Param(
        False,
        type="boolean",
        title="Train again",
        description="Train even if MLflow has a finished run with the same settings and the same tweets.",
    ),
    "devices": Param(
        1,
        type="integer",
        minimum=1,
        maximum=64,
        title="Devices",
        description="GPUs of the training worker that share each batch.",
    ),
    "validate_every_steps": Param(
        None,
        type=["integer", "null"],
        minimum=1,
        title="Validation interval",
        description="Also log the validation loss every so many steps, for the learning curves. It does not "
        "influence the training, which is validated twice per epoch.",
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
        "rmse",
        type="string",
        enum=list(COMPARISON_METRICS),
        title="Metric of the comparison",
        description="rmse and loss find a real improvement about twice as often as accuracy and macro_f1, "
        "because they also use how sure the model is.",
    ),
    "min_agreement": Param(
        0.34,
        type="number",
        minimum=0,
        maximum=1,
        title="Minimum agreement",
        description="Compare only tweets whose label at least this share of the annotators gave. The default "
        "leaves out labels that one of three annotators gave.",
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
    "champion": Param(
        "compare",
        type="string",
        enum=["compare", "replace"],
        title="Champion",
        description="compare: a new model must be better than the champion. replace: the best new model "
        "becomes the champion without a comparison. Use it if MLflow has lost the champion's files, or if "
        "the first model is not better than the majority class and should score all the same.",
    ),
    "require_approval": Param(
        False,
        type="boolean",
        title="Require approval",
        description="A user must approve a better model before it becomes the champion.",
    ),
}

# Retries for 20 minutes or longer, so that an outage of MLflow before or after a training does not fail the
# run. A training that is retried is resumed.
OUTAGE_RETRIES: dict[str, Any] = {
    "retries": 6,
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=10),
}

# BERT takes 2.5 hours on a CPU, larger models take longer. A retry resumes the training.
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
LOW_PRIORITY = ["nice", "-n", "10"]


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
    **operator_arguments: Any,
) -> Any:
    """Return the task that runs a command of `training`, or one mapped task for each element of an XCom.

    Args:
        task_id: name of the task.
        command: command line.
        options: further options, or the XCom of a list of them. `options_schema` must describe them.
        trains: whether the command trains models. Such tasks run one at a time, with low CPU priority (nice
            10) and a longer timeout.
        operator_arguments: further arguments of CommandOperator.
    """
    # Only the workers of this queue have the libraries of `training`. A LocalExecutor ignores queues.
    settings: dict[str, Any] = {"task_id": task_id, "queue": "gpu", "command": command, **OUTAGE_RETRIES}
    if trains:
        settings |= {
            "command": [*LOW_PRIORITY, *command],
            "pool": "gpu",
            "execution_timeout": TRAINING_TIMEOUT,
        }
    settings |= operator_arguments
    if isinstance(options, XComArg):
        return CommandOperator.partial(**settings).expand(options=options)
    return CommandOperator(options=options, **settings)


def build_training_options(
    params: Mapping[str, Any],
    changed_assets: Sequence[str],
    is_manual: bool,
    version: int | None,
    scores_version: int | None,
) -> list[dict[str, Any]]:
    """Return the options of `training.train` for each chosen preset of `train_classifiers`.

    Args:
        params: values of the trigger form.
        changed_assets: names of the Assets that triggered the run. Empty for scheduled and manual runs.
        is_manual: whether a user triggered the run.
        version: version of tweets_clean that all presets use. None if the table does not exist.
        scores_version: version of tweets_scored, likewise.
    """
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


def plan() -> dict[str, list[dict[str, Any]]]:
    """Return the options of the trainings of the current run of `train_classifiers`, in their order."""
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


@task
def plan_baseline() -> list[dict[str, Any]]:
    """Return the options of the baseline's training if it precedes the others, otherwise none."""
    return plan()["baseline"]


# Another task, because a task cannot be mapped over a part of an XCom.
@task
def plan_trainings() -> list[dict[str, Any]]:
    """Return the options of the other trainings."""
    return plan()["others"]


def build_fold_options(params: Mapping[str, Any], version: int | None) -> list[dict[str, Any]]:
    """Return the options of each fold of `cross_validate`. All use the same version of tweets_clean."""
    options = {name: params[name] for name in ("preset", "folds", "settings")} | {"tweets_version": version}
    return [options | {"fold": fold} for fold in range(params["folds"])]
