"""### Cross-validate a classifier

**What.** Divides the `train` side of `tweets_clean` into folds, stratified by label. All copies of a text are
in one fold. For each fold, one model is trained on the other folds and evaluated on this fold. The mean, the
standard deviation and a table of the folds are in the tab *Report* and in MLflow. The `eval` side is not
used.

**When.** On *Trigger*. The result shows whether a difference between two presets or settings is due to
chance.

**Needs.** MLflow at `MLFLOW_TRACKING_URI`. Each fold takes as long as a training.

**If it fails.** The last line of the log gives the reason. Clear the failed folds to retry them: a retry
resumes an interrupted training. Finished folds stay.
"""

from typing import Any

from airflow.sdk import Param, dag, get_current_context, task

from vaxpulse_dags.access import MODELERS
from vaxpulse_dags.assets import TWEETS_CLEAN, report_uri
from vaxpulse_dags.tables import latest_version
from vaxpulse_dags.tasks import DEFAULT_ARGS, START_DATE
from vaxpulse_dags.training import FOLD_SCHEMA, build_fold_options, training_command, training_task
from vaxpulse_dags.training_form import PRESET_PARAM, SETTINGS_PARAM


@dag(
    schedule=None,
    start_date=START_DATE,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags=["train"],
    access_control=MODELERS,
    user_defined_macros={"report_uri": report_uri},
    params={
        "preset": PRESET_PARAM,
        "folds": Param(5, type="integer", minimum=2, maximum=20, title="Folds"),
        "settings": SETTINGS_PARAM,
    },
)
def cross_validate() -> None:
    """Train and evaluate each fold, then summarise."""

    @task
    def plan_folds() -> list[dict[str, Any]]:
        return build_fold_options(get_current_context()["params"], latest_version(TWEETS_CLEAN.uri))

    summary = training_command(
        "cross_validate",
        "summary",
        name="{{ run_id }}",
        folds="{{ params.folds }}",
        report="{{ report_uri(dag.dag_id, run_id) }}",
    )
    folds = training_task(
        "fold",
        training_command("cross_validate", "fold", name="{{ run_id }}", tweets=TWEETS_CLEAN.uri),
        options=plan_folds(),
        options_schema=FOLD_SCHEMA,
        trains=True,
        returns_json=True,
    )
    folds >> training_task("summary", summary, returns_json=True)


cross_validate()
