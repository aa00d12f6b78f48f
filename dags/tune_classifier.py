"""### Search for better settings of a classifier

**What.** Optuna searches learning rate, batch size, dropout, epochs and weight decay of one preset. Each
trial trains on the `train` side of `tweets_clean`. The objective is measured on the validation part. A trial
with a greater objective than the median of the earlier trials is stopped early. The `eval` side is not used.
MLflow has one run for the search and one child run per trial. The best settings are in the artifact
`preset.json` of the search, and in the last line of the log. If the champion has this preset, the next run of
`train_classifiers` without *Trigger* uses them. To use them at once, copy them into *Settings*.

**When.** On *Trigger*.

**Needs.** MLflow at `MLFLOW_TRACKING_URI`, and a database for the study at `VAXPULSE_STUDIES`. A trial takes
as long as a training.

**If it fails.** The last line of the log gives the reason. Clear the task to retry: the study continues with
the missing trials. To add trials later, *Trigger* a run with a greater number of *Trials*. It continues the
study if the labelled tweets have not changed.
"""

from datetime import timedelta

from airflow.sdk import Param, dag

from vaxpulse_dags.access import MODELERS
from vaxpulse_dags.assets import TWEETS_CLEAN
from vaxpulse_dags.tasks import DEFAULT_ARGS, START_DATE
from vaxpulse_dags.training import training_command, training_task
from vaxpulse_dags.training_form import TRANSFORMER_PARAM


@dag(
    schedule=None,
    start_date=START_DATE,
    catchup=False,
    max_active_runs=1,  # two searches would share one device
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags=["train"],
    access_control=MODELERS,
    params={
        "preset": TRANSFORMER_PARAM,
        "trials": Param(
            20,
            type="integer",
            minimum=1,
            title="Trials",
            description_md="Total number of trials in the study, including those of earlier runs.",
        ),
    },
)
def tune_classifier() -> None:
    """Run one search."""
    command = training_command(
        "tune", preset="{{ params.preset }}", trials="{{ params.trials }}", tweets=TWEETS_CLEAN.uri
    )
    training_task(
        "tune",
        command,
        trains=True,
        returns_json=True,
        execution_timeout=timedelta(days=2),  # 20 trainings of minutes to hours each
    )


tune_classifier()
