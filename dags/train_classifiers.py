"""### Fine-tune classifiers, compare them, and promote the best one if it deserves it

**What.** Fine-tunes one model for each chosen preset on the `train` side of `tweets_clean`. A validation part of that side stops training and
chooses. Each model is measured once on the `eval` side. Parameters, losses, metrics, the table's version and the model go to MLflow. Then
`compare` draws one table and one chart of these models and the champion: the tab *Report* shows them. The best candidate becomes the champion
when a paired bootstrap on the same tweets says that it is better. Otherwise the reason stands on its version in MLflow. With a *Teacher*, a large model
that has been champion, a small one learns from the scores of that model as well.

**When.** After a run that changed `tweets_clean`, if the labelled tweets have grown by *Growth*, or the settings have changed. When tweets drift
away from what the champion has learned. Every Sunday, if the labelled tweets have changed at all. Or when somebody presses *Trigger*. A training that
is not due is skipped. So is one when no tweet has a label.

**Needs.** MLflow at `MLFLOW_TRACKING_URI`. Presets other than `minilm` need their weights: see `docs/training.md`.

**If it fails.** The log's last line says why, for weights that are not there also how to provide them. Clear the task to try again: a training
that was ended goes on where it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param, dag, get_current_context, task
from airflow.timetables.assets import AssetOrTimeSchedule
from airflow.timetables.trigger import CronTriggerTimetable

from common.assets import DRIFT, MODELS, TWEETS_CLEAN, TWEETS_SCORED, report_uri
from common.defaults import (
    DEFAULT_ARGS,
    FIRST_DAY,
    GPU,
    PRESETS,
    REPOSITORY,
    SHELL_ENVIRONMENT,
    TRAINING_PYTHON,
    TRAINING_WORKER,
    read_json,
)
from common.tables import newest_version

EVERY_SUNDAY = "0 3 * * 0"


def training_commands(
    params: Mapping[str, Any],
    changed_assets: Sequence[str],
    by_hand: bool,
    version: int | None,
    scores_version: int | None,
) -> list[str]:
    """Return the trainer's command line for each chosen preset.

    Args:
        params: what the trigger form holds.
        changed_assets: names of the Assets whose change has started the run; none for a run of the week or by hand.
        by_hand: whether somebody has pressed *Trigger*.
        version: of tweets_clean; all presets learn from the same one, whatever is cleaned meanwhile.
        scores_version: of tweets_scored, likewise.
    """
    due = "" if by_hand and params["train_again"] else " --skip-if-trained"
    if TWEETS_CLEAN.name in changed_assets and DRIFT.name not in changed_assets:
        due += f" --min-growth {params['growth']}"
    tweets = TWEETS_CLEAN.uri if version is None else f"{TWEETS_CLEAN.uri} --tweets-version {version}"
    # The settings come from a person: they go through the environment, so that the shell does not read them.
    settings = ' --preset-file <(printf %s "$SETTINGS")' if params["settings"] else ""
    teacher = f" --teacher {params['teacher']} --scores {TWEETS_SCORED.uri}" if params["teacher"] else ""
    if teacher and scores_version is not None:
        teacher += f" --scores-version {scores_version}"
    options = f"--tweets {tweets}{due}{settings}{teacher}"
    return [
        f"{TRAINING_PYTHON} -m training.train --preset {preset} {options}" for preset in params["presets"]
    ]


@dag(
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable(EVERY_SUNDAY, timezone="UTC"), assets=TWEETS_CLEAN | DRIFT
    ),  # type: ignore[arg-type]  # it wants what Airflow makes of them
    start_date=FIRST_DAY,
    catchup=False,  # one run learns from all that is there
    max_active_runs=1,  # two comparisons at once would promote against different champions
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags=["train"],
    user_defined_macros={"report_uri": report_uri},
    params={
        "presets": Param(
            ["minilm"],
            type="array",
            minItems=1,
            uniqueItems=True,
            items={"type": "string", "enum": PRESETS},
            examples=PRESETS,
            title="Models",
            description="One fine-tuning for each, one after the other.",
        ),
        "settings": Param(
            None,
            type=["object", "null"],
            title="Settings",
            description='Instead of the presets\' values, as tune_classifier finds them: {"learning_rate": 0.0001}.',
        ),
        "teacher": Param(
            None,
            type=["integer", "null"],
            minimum=1,
            title="Teacher",
            description="A version of the registered model that has scored the tweets: its scores teach as well, also of unlabelled tweets. "
            "So a small model learns what a large one knows. Only for this run: those on a schedule have no teacher.",
        ),
        "train_again": Param(
            False,
            type="boolean",
            title="Train again",
            description="Also when MLflow has a finished run with the same settings on the same tweets.",
        ),
        "growth": Param(
            0.1,
            type="number",
            minimum=0,
            exclusiveMaximum=1,
            title="Growth",
            description="New tweets start a training when the labelled ones have grown by this share.",
        ),
        "metric": Param(
            "macro_f1",
            type="string",
            enum=["macro_f1", "accuracy", "rmse", "loss"],
            title="Metric of the comparison",
        ),
        "margin": Param(
            0.0,
            type="number",
            minimum=-0.2,
            title="Margin",
            description="By more than which the metric must be better. Below 0 it may be worse by less than that: for a smaller model.",
        ),
        "confidence": Param(
            0.95,
            type="number",
            exclusiveMinimum=0,
            maximum=1,
            title="Confidence",
            description="In what share of the resamples it must be better.",
        ),
        "ask_a_person": Param(
            False,
            type="boolean",
            title="Ask a person",
            description="Before a better model becomes the champion.",
        ),
    },
)
def train_classifiers() -> None:
    """Train each chosen preset, compare, promote."""

    @task
    def build_commands() -> list[str]:
        context = get_current_context()
        changed = [
            event.asset.name for events in context["triggering_asset_events"].values() for event in events
        ]
        by_hand = context["dag_run"].run_type == "manual"
        versions = newest_version(TWEETS_CLEAN.uri), newest_version(TWEETS_SCORED.uri)
        return training_commands(context["params"], changed, by_hand, *versions)

    train = BashOperator.partial(
        task_id="train",
        cwd=str(REPOSITORY),
        max_active_tis_per_dagrun=1,
        env=SHELL_ENVIRONMENT | {"SETTINGS": "{{ params.settings | tojson }}"},
        append_env=True,
        **GPU,
    ).expand(bash_command=build_commands())

    compare = BashOperator(
        task_id="compare",
        bash_command=(
            f"python -m training.compare --airflow-run-id {{{{ run_id }}}} --tweets {TWEETS_CLEAN.uri}"
            " --report {{ report_uri(dag.dag_id, run_id) }}"
            " --metric {{ params.metric }} --margin={{ params.margin }} --confidence {{ params.confidence }}"
        ),
        cwd=str(REPOSITORY),
        env=SHELL_ENVIRONMENT,
        append_env=True,
        output_processor=read_json,
        **TRAINING_WORKER,
        trigger_rule="none_failed_min_one_success",  # of the presets some may have been trained before
    )

    @task.branch
    def choose(found: Mapping[str, Any]) -> str | None:
        if not found["promote"]:
            return None
        return "ask" if get_current_context()["params"]["ask_a_person"] else "promote"

    ask = ApprovalOperator(
        task_id="ask",
        subject="{{ ti.xcom_pull(task_ids='compare')['preset'] }}: shall it become the champion?",
        body="{{ ti.xcom_pull(task_ids='compare')['reason'] }}",
        execution_timeout=None,  # a person may take days
    )

    promote = BashOperator(
        task_id="promote",
        bash_command=(
            "{% set found = ti.xcom_pull(task_ids='compare') %}"
            "python -m training.promote --version {{ found['version'] }} --instead-of '{{ found['instead_of'] or '' }}'"
        ),
        cwd=str(REPOSITORY),
        env=SHELL_ENVIRONMENT,
        append_env=True,
        outlets=[MODELS],
        **TRAINING_WORKER,
        trigger_rule="none_failed_min_one_success",  # nobody may have been asked
    )

    chosen = choose(compare.output)  # type: ignore[arg-type]  # the value comes when it runs
    train >> compare >> chosen >> ask >> promote
    chosen >> promote


train_classifiers()
