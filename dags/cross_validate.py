"""### Cross-validate a classifier

**What.** Cuts the `train` side of `tweets_clean` into folds, stratified by label, with all copies of a text in one fold. For each fold one model is
trained on the others, and judged on the fold's tweets. The mean, the spread and the table of the folds are in the tab *Report* and in MLflow. The
`eval` side is not looked at.

**When.** When somebody presses *Trigger*: to know how much of a difference between two presets or settings is luck.

**Needs.** MLflow at `MLFLOW_TRACKING_URI`. Each fold takes as long as a training.

**If it fails.** The log's last line says why. Clear the failed folds to try them again; the others stand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import Param, dag, get_current_context, task

from common.assets import TWEETS_CLEAN, report_uri
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


def fold_commands(params: Mapping[str, Any], run_id: str, version: int | None) -> list[str]:
    """Return the command line of each fold; all cut the same version of tweets_clean."""
    settings = ' --preset-file <(printf %s "$SETTINGS")' if params["settings"] else ""
    tweets = TWEETS_CLEAN.uri if version is None else f"{TWEETS_CLEAN.uri} --tweets-version {version}"
    return [
        f"{TRAINING_PYTHON} -m training.cross_validate fold --name {run_id} --fold {fold} --folds {params['folds']}"
        f" --preset {params['preset']} --tweets {tweets}{settings}"
        for fold in range(params["folds"])
    ]


@dag(
    schedule=None,
    start_date=FIRST_DAY,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags=["train"],
    user_defined_macros={"report_uri": report_uri},
    params={
        "preset": Param("minilm", type="string", enum=PRESETS, title="Model"),
        "folds": Param(5, type="integer", minimum=2, maximum=20, title="Folds"),
        "settings": Param(
            None,
            type=["object", "null"],
            title="Settings",
            description='Instead of the preset\'s values, as tune_classifier finds them: {"learning_rate": 0.0001}.',
        ),
    },
)
def cross_validate() -> None:
    """Train and judge each fold, then summarise."""

    @task
    def build_commands() -> list[str]:
        context = get_current_context()
        return fold_commands(context["params"], context["run_id"], newest_version(TWEETS_CLEAN.uri))

    folds = BashOperator.partial(
        task_id="fold",
        cwd=str(REPOSITORY),
        env=SHELL_ENVIRONMENT | {"SETTINGS": "{{ params.settings | tojson }}"},
        append_env=True,
        output_processor=read_json,
        **GPU,
    ).expand(bash_command=build_commands())

    summary = BashOperator(
        task_id="summary",
        bash_command=(
            "python -m training.cross_validate summary --name {{ run_id }} --folds {{ params.folds }}"
            " --report {{ report_uri(dag.dag_id, run_id) }}"
        ),
        cwd=str(REPOSITORY),
        env=SHELL_ENVIRONMENT,
        append_env=True,
        output_processor=read_json,
        **TRAINING_WORKER,
    )

    folds >> summary


cross_validate()
