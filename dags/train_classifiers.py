"""### Train classifiers, compare them, and promote the best one if it is significantly better

**What.** Trains one model for each chosen preset on the `train` side of `tweets_clean`. A validation part of
this side is used for early stopping. Each model is evaluated once on the `eval` side. MLflow gets parameters,
metrics, the model and the version of the table. The baseline `tfidf` is trained first, in seconds. Without a
champion it becomes the champion at once, if it is better than the majority class. Tweets are then scored
during the other trainings. `compare` writes a report with all new models and the champion: see the tab
*Report*. A paired bootstrap compares the best new model with the champion. If the new model is significantly
better, it becomes the champion. Otherwise the reason is stored in its model version in MLflow. With a
*Teacher*, a small model also learns from the scores of a large model.

**When.** After a run that changed `tweets_clean`, if the number of labelled tweets has grown by *Growth*, or
if settings have changed. After drift was found. Every Sunday at 03:00 UTC, if any labelled tweet has changed.
On *Trigger*. Without *Trigger* the preset, settings and teacher are those of the champion, unless it is the
baseline. Other settings that `tune_classifier` has found since are used until their model is compared. A
training that is not due is skipped, also if no tweet has a label. A training that fails does not stop the
others; the run ends as failed.

**Needs.** MLflow at `MLFLOW_TRACKING_URI`. `tfidf`, `bge-small` and `minilm` are ready to use. The other
presets need weights: see `docs/training.md`.

**If it fails.** The last line of the log gives the reason. If weights are missing, it also explains how to
provide them. Clear the task to retry: an interrupted training is resumed. If `compare` failed, the next run
compares the model. If the champion's version was deleted, the latest former champion is compared instead.
"""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, dag

from vaxpulse_dags.access import MODELERS
from vaxpulse_dags.assets import DRIFT, MODELS, TWEETS_CLEAN, report_uri
from vaxpulse_dags.tasks import DEFAULT_ARGS, START_DATE
from vaxpulse_dags.training import (
    PROMOTE_OPTIONS,
    choose_next,
    plan,
    plan_baseline,
    plan_trainings,
    train_models,
    training_command,
    training_task,
)
from vaxpulse_dags.training_form import TRAIN_PARAMS


@dag(
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("0 3 * * 0", timezone="UTC"), assets=TWEETS_CLEAN | DRIFT
    ),
    start_date=START_DATE,
    catchup=False,  # one run trains on all current tweets
    max_active_runs=1,  # two concurrent comparisons would use different champions
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags=["train"],
    access_control=MODELERS,
    user_defined_macros={"report_uri": report_uri},
    params=TRAIN_PARAMS,
)
def train_classifiers() -> None:
    """Train the baseline and the other chosen presets, compare, promote."""
    comparison = training_command(
        "compare",
        airflow_run_id="{{ run_id }}",
        tweets=TWEETS_CLEAN.uri,
        report="{{ report_uri(dag.dag_id, run_id) }}",
        metric="{{ params.metric }}",
        margin="{{ params.margin }}",
        confidence="{{ params.confidence }}",
        min_agreement="{{ params.min_agreement }}",
        champion="{{ params.champion }}",
    )
    planned = plan()
    # The first scores wait for the baseline.
    train_baseline = train_models("train_baseline", plan_baseline(planned), low_priority=False)
    promote_baseline = training_task("promote_baseline", [*comparison, "--first-champion"], outlets=[MODELS])
    train = train_models(
        "train",
        plan_trainings(planned),
        max_active_tis_per_dagrun=1,
        trigger_rule="all_done",  # the baseline is skipped if it is not chosen or not due
    )
    compare = training_task(
        "compare",
        comparison,
        returns_json=True,
        # One preset without weights must not block the others. Without a new model it is skipped.
        trigger_rule="all_done",
    )
    # The state of a run is that of its last tasks. This one fails the run if one of these has failed.
    all_trained = EmptyOperator(task_id="all_trained", trigger_rule="none_failed")

    approve = ApprovalOperator(
        task_id="approve",
        subject="Promote {{ ti.xcom_pull(task_ids='compare')['preset'] }} to champion?",
        body="{{ ti.xcom_pull(task_ids='compare')['reason'] }}",
        execution_timeout=None,  # a decision may take days
    )
    promote = training_task(
        "promote",
        training_command("promote"),
        **PROMOTE_OPTIONS,
        outlets=[MODELS],
        trigger_rule="none_failed_min_one_success",  # `approve` is skipped if no approval is required
    )

    chosen = choose_next(compare.output)
    train_baseline >> promote_baseline >> train >> compare >> chosen >> approve >> promote
    [train_baseline, promote_baseline, train] >> all_trained
    chosen >> promote


train_classifiers()
