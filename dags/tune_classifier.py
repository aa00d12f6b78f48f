"""### Search the best settings of a classifier

**What.** Trains one preset again and again with other settings: learning rate, batch size, dropout, epochs, weight decay. Optuna chooses the next ones
by what it has seen. Each trial trains on the `train` side of `tweets_clean` and is judged by its loss on the validation part. A trial that is worse
than half of the others at the same quarter of its training is ended early. The `eval` side is not looked at. MLflow has one run of the search, and below it one of each
trial. The best settings are its file `preset.json`, and the last line of the log. Paste them into *Settings* of `train_classifiers`.

**When.** When somebody presses *Trigger*.

**Needs.** MLflow at `MLFLOW_TRACKING_URI`, and a database for the study at `VAXPULSE_STUDIES`. A trial takes as long as a training.

**If it fails.** The log's last line says why. Clear the task to try again: the study goes on with the trials that are missing. The same holds for a
new run on the same tweets: ask for more trials, and it makes the difference.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import Param, dag

from common.assets import TWEETS_CLEAN
from common.defaults import (
    DEFAULT_ARGS,
    FIRST_DAY,
    GPU,
    PRESETS,
    REPOSITORY,
    SHELL_ENVIRONMENT,
    TRAINING_PYTHON,
    read_json,
)


@dag(
    schedule=None,
    start_date=FIRST_DAY,
    catchup=False,
    max_active_runs=1,  # two searches would share the same device
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags=["train"],
    params={
        "preset": Param("minilm", type="string", enum=PRESETS, title="Model"),
        "trials": Param(
            20,
            type="integer",
            minimum=1,
            title="Trials",
            description="Of the whole study, earlier ones included.",
        ),
    },
)
def tune_classifier() -> None:
    """Run the one search."""
    BashOperator(
        task_id="tune",
        bash_command=(
            f"{TRAINING_PYTHON} -m training.tune --preset {{{{ params.preset }}}} --trials {{{{ params.trials }}}} --tweets {TWEETS_CLEAN.uri}"
        ),
        cwd=str(REPOSITORY),
        env=SHELL_ENVIRONMENT,
        append_env=True,
        output_processor=read_json,
        execution_timeout=timedelta(days=2),  # twenty trainings, on a CPU some minutes to an hour each
        **GPU,
    )


tune_classifier()
