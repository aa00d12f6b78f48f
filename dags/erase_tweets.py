"""### Erase tweets, or a whole dump, for good

**What.** Deletes tweets by their ids, or all tweets of a dump. They are deleted from all tables with their
history, and from the files in `raw/`. Reports and exports since the first delivery are deleted in HDFS and
MLflow. `score_tweets` then writes another report. Files that users have uploaded or downloaded for inspection
are deleted too. The files of trainings are searched last: `erase_mlflow_trainings` waits until no training of
Airflow runs. The log of `summarise` has the result. It lists the models that were trained on these dumps, and
the copies that remain. A later dump with an erased tweet is held. The content of an erased dump is not stored
again.

**When.** On *Trigger*, with ids or with the SHA-256 of a dump, and a reason.

**Needs.** MLflow at `MLFLOW_TRACKING_URI`, and the connection `webhdfs_default`.

**If it fails.** The last line of the log gives the reason. Clear the task to retry: every step can be
repeated. A held dump with these tweets must be approved or rejected first.
"""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import dag, task

from contracts.hdfs_paths import UPLOADS
from vaxpulse_dags.assets import TWEETS_RAW
from vaxpulse_dags.retention import ERASURE_PARAMS, describe_erasure, erase_from_mlflow, erase_from_tables
from vaxpulse_dags.tasks import (
    CLEAN_WRITES,
    DEFAULT_ARGS,
    RAW_WRITES,
    SCORED_WRITES,
    START_DATE,
    takes_slot,
)

log = logging.getLogger(__name__)


@dag(
    schedule=None,  # a user triggers it
    start_date=START_DATE,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags=["maintain"],
    params=ERASURE_PARAMS,
)
def erase_tweets() -> None:
    """Erase from the tables in the order of the data flow, then from reports and MLflow."""
    raw = erase_from_tables("raw", outlets=[TWEETS_RAW], **takes_slot(RAW_WRITES, rare=True))
    clean = erase_from_tables("clean", **takes_slot(CLEAN_WRITES, rare=True))
    scored = erase_from_tables("scored", **takes_slot(SCORED_WRITES, rare=True))
    mlflow_reports = erase_from_mlflow("reports")
    # With the slot of trainings: a training that read the tweets logs them at its end.
    trainings = erase_from_mlflow("trainings", **takes_slot("gpu", rare=True))

    @task
    def erase_reports(result: Mapping[str, Any]) -> list[str]:
        from vaxpulse_airflow.retention import delete_reports_since
        from vaxpulse_airflow.webhdfs import TimedWebHDFSHook

        client = TimedWebHDFSHook().get_conn()
        client.delete(UPLOADS, recursive=True)  # without a search: users can upload a file again
        since = datetime.fromisoformat(result["since"]) if result["since"] else None
        return delete_reports_since(client, since) if since else []

    @task
    def summarise(results: Mapping[str, Any], reports: Any) -> None:
        log.info("%s", describe_erasure(results, reports))

    reports = erase_reports(raw.output)
    steps = {"raw": raw, "clean": clean, "scored": scored, "mlflow": mlflow_reports, "trainings": trainings}
    summary = summarise({name: step.output for name, step in steps.items()}, reports)
    score = TriggerDagRunOperator(task_id="score", trigger_dag_id="score_tweets")
    raw >> clean >> scored >> mlflow_reports >> reports >> [score, summary]
    scored >> trainings >> summary


erase_tweets()
