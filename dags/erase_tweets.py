"""### Erase tweets, or a whole dump, for good

**What.** Deletes tweets by their ids, or all tweets of a dump. They are deleted from all tables with their
history, and from the files in `raw/`. Reports and exports since the first delivery are deleted in HDFS and
MLflow. `score_tweets` then writes another report. Files that users have uploaded or downloaded for inspection
are deleted too. The log of `summarise` has the result. It lists the models that were trained on these dumps,
and what remains. A later dump with an erased tweet is held. The content of an erased dump is not stored
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
from airflow.sdk import Param, dag, task

from contracts.hdfs_paths import UPLOADS
from vaxpulse_airflow.command import CommandOperator
from vaxpulse_dags.assets import LOADING_OPTIONS, TWEETS_CLEAN, TWEETS_RAW, TWEETS_SCORED
from vaxpulse_dags.retention import describe_erasure
from vaxpulse_dags.reviews import REASON_PARAM, SHA256
from vaxpulse_dags.tasks import (
    CLEAN_WRITES,
    DEFAULT_ARGS,
    RAW_WRITES,
    SCORED_WRITES,
    START_DATE,
    build_options,
    loading_task,
    takes_slot,
)

log = logging.getLogger(__name__)
IDS_PARAM = Param(
    [],
    type="array",
    maxItems=1000,
    items={"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
    title="Ids of tweets",
    description_md="As in the table `tweets_raw`. Empty if a dump is given.",
    expected="up to 1,000 ids of letters, digits, hyphens and underscores, one on each line",
)
DUMP_PARAM = Param(None, type=["null", "string"], **SHA256, title="SHA-256 of a dump")
OPTIONS = LOADING_OPTIONS | {
    "tweets-clean": TWEETS_CLEAN.uri,
    "tweets-scored": TWEETS_SCORED.uri,
    "tweet-ids": "{{ params.tweet_ids | tojson }}",
    "dump-sha256": "{{ params.dump_sha256 or '' }}",
    "reason": "{{ params.reason }}",
}
MLFLOW_OPTIONS = {
    "dumps": "{{ ti.xcom_pull(task_ids='erase_raw')['dumps'] | tojson }}",
    "since": "{{ ti.xcom_pull(task_ids='erase_raw')['since'] or '' }}",
    "tweets-clean": TWEETS_CLEAN.uri,
}


def erase_step(step: str, **arguments: Any) -> Any:
    """Return the task that erases from the tables of one pool."""
    erase = loading_task(
        "erasure.erase_tweets", OPTIONS, task_id=f"erase_{step}", returns_json=True, **arguments
    )
    erase.command.insert(3, step)
    return erase


@dag(
    schedule=None,  # a user triggers it
    start_date=START_DATE,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags=["maintain"],
    params={"tweet_ids": IDS_PARAM, "dump_sha256": DUMP_PARAM, "reason": REASON_PARAM},
)
def erase_tweets() -> None:
    """Erase from the tables in the order of the data flow, then from reports and MLflow."""
    raw = erase_step("raw", outlets=[TWEETS_RAW], **takes_slot(RAW_WRITES, rare=True))
    clean = erase_step("clean", **takes_slot(CLEAN_WRITES, rare=True))
    scored = erase_step("scored", **takes_slot(SCORED_WRITES, rare=True))
    mlflow = CommandOperator(
        task_id="erase_from_mlflow",
        command=["python", "-m", "retention.erase_from_mlflow", *build_options(MLFLOW_OPTIONS)],
        returns_json=True,
    )

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
    results = {"raw": raw.output, "clean": clean.output, "scored": scored.output, "mlflow": mlflow.output}
    score = TriggerDagRunOperator(task_id="score", trigger_dag_id="score_tweets")
    raw >> clean >> scored >> mlflow >> reports >> [summarise(results, reports), score]


erase_tweets()
