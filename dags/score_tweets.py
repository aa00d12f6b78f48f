"""### Score all tweets with the champion

**What.** One Spark job loads the champion from MLflow and writes scores of `tweets_clean` to `tweets_scored`.
It scores new tweets and tweets with changed text. After a promotion it scores all tweets with the new
champion. Scores of earlier champions remain in the table. The tab *Report* shows sentiment by dump, day and
hashtag. It offers the scores of the 20 latest dumps as CSV and Parquet, and it lists the dumps with drift.
Each dump with drift triggers `train_classifiers` once.

**When.** After each run that changed `tweets_clean`, after a promotion, or on *Trigger*. Without a champion
the run is skipped.

**Needs.** The connection `spark_default`, and MLflow at `MLFLOW_TRACKING_URI`.

**If it fails.** The last line of the log gives the reason. Clear the task to retry: scores are written in one
commit, and no tweet is scored twice.
"""

import logging
from collections.abc import Iterable
from typing import Any

from airflow.sdk import Param, dag, task
from airflow.sdk.exceptions import AirflowSkipException

from contracts import hdfs_paths
from contracts.mlflow_names import CHAMPION_ALIAS, REGISTERED_MODEL
from vaxpulse_airflow.command import CommandOperator, build_options
from vaxpulse_dags.access import MODELERS
from vaxpulse_dags.assets import (
    DRIFT,
    DRIFT_TABLE,
    DUMPS,
    HDFS,
    MODELS,
    TWEETS_CLEAN,
    TWEETS_SCORED,
    report_uri,
)
from vaxpulse_dags.tables import read_drifted_dumps
from vaxpulse_dags.tasks import DEFAULT_ARGS, SCORED_WRITES, START_DATE, spark_job, takes_slot


def exclude_reported(dumps: Iterable[str], events: Iterable[Any]) -> list[str]:
    """Return the distinct dumps that are not in an earlier event of the Asset."""
    reported = {dump for event in events for dump in event.extra.get("dumps", [])}
    return [dump for dump in dict.fromkeys(dumps) if dump not in reported]


@dag(
    schedule=TWEETS_CLEAN | MODELS,
    start_date=START_DATE,
    catchup=False,  # one run scores all new tweets
    max_active_runs=1,  # the next run scores the tweets that arrive during a run
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags=["score"],
    access_control=MODELERS,
    user_defined_macros={"report_uri": report_uri},
    params={
        "engine": Param(
            "auto",
            type="string",
            enum=["auto", "onnx", "sparknlp"],
            title="Engine",
            values_display={
                "auto": "automatic",
                "onnx": "ONNX Runtime",
                "sparknlp": "Spark NLP: BERT and DistilBERT only",
            },
        ),
        "model_alias": Param(
            CHAMPION_ALIAS,
            type="string",
            pattern="^[A-Za-z0-9_-]+$",
            title="Model alias",
            description_md="Alias of the registered model version in MLflow.",
            expected="letters, digits, hyphens and underscores",
        ),
    },
)
def score_tweets() -> None:
    """Score the tweets, then report dumps with drift."""
    model = {"model-name": REGISTERED_MODEL, "model-alias": "{{ params.model_alias }}"}
    # A run without a champion must not wait for the slot: it would repeat the work of the champion's own run.
    find_model = CommandOperator(
        task_id="find_model", command=["python", "-m", "spark_jobs.scoring.registry", *build_options(model)]
    )
    score = spark_job(
        "score_tweets",
        {
            "tweets-clean": TWEETS_CLEAN.uri,
            "tweets-scored": TWEETS_SCORED.uri,
            "dumps": DUMPS,
            "drift": DRIFT_TABLE,
            "models": hdfs_paths.uri(HDFS, hdfs_paths.MODELS),
            **model,
            "engine": "{{ params.engine }}",
            "report": "{{ report_uri(dag.dag_id, run_id) }}",
            "run-id": "{{ run_id }}",
        },
        inlets=[TWEETS_CLEAN, MODELS],
        outlets=[TWEETS_SCORED],
        low_priority=True,
        **takes_slot(SCORED_WRITES),
    )

    # Asset events store the reported dumps: Airflow commits an event together with the success of its task.
    @task(inlets=[DRIFT], outlets=[DRIFT])
    def report_drift(*, inlet_events: Any = None, outlet_events: Any = None) -> None:
        dumps = exclude_reported(read_drifted_dumps(), inlet_events[DRIFT])
        if not dumps:
            raise AirflowSkipException("no dump with drift, or all of them were reported before")
        logging.getLogger(__name__).warning("dumps with drift from the training data: %s", ", ".join(dumps))
        outlet_events[DRIFT].extra = {"dumps": dumps}

    find_model >> score >> report_drift()


score_tweets()
