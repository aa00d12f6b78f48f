"""### Ingest dumps of tweets into HDFS and the table `tweets_raw`

**What.** Dumps are moved out of the landing folders, and then validated. Each dump gets one of three states:

- `loaded`: its tweets are in `tweets_raw`. If a tweet is in several dumps, the latest delivery wins.
- `held`: the data-quality gate found a problem. A user decides in a run of `review_dump`; until then nothing
  is loaded.
- `refused`: no record can be read.

Records that break a rule go to `quarantine` with the reason. The table `dumps` has one row per dump. The file
stays in HDFS under its SHA-256.

**When.** Within 30 seconds after a file has arrived in the landing folder in HDFS. Every day at midnight UTC,
also for missed days. On *Trigger*, with or without the address of a dump. If the content is already loaded,
nothing changes: `load_dumps` is skipped and the run succeeds.

**Needs.** The connection `webhdfs_default`, and `VAXPULSE_LANDING`, the landing folder that all workers
share. Write files to a hidden or `.part` name, and rename them when they are complete.

**If it fails.** The last line of the failed task's log gives the reason. A failed `report` names the refused
dumps. No delivery is lost: the next run finds unfinished ones. Clear the task to retry now.
"""

import logging
import os
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, dag, get_current_context, task

from contracts import hdfs_paths
from vaxpulse_airflow import landing
from vaxpulse_airflow.webhdfs import TimedWebHDFSHook
from vaxpulse_dags.assets import HDFS, LANDED_DUMPS, LOADING_OPTIONS, TWEETS_RAW
from vaxpulse_dags.ingestion import DUMP_PARAM, GATE_OPTIONS, LIMITS
from vaxpulse_dags.reviews import build_review_runs
from vaxpulse_dags.tables import read_dumps
from vaxpulse_dags.tasks import (
    DEFAULT_ARGS,
    LOAD,
    START_DATE,
    fail_without_retry,
    loading_task,
    writes_tables,
)

log = logging.getLogger(__name__)


@dag(
    # Daily for the landing folders, and after an event of the landing folder in HDFS.
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("0 0 * * *", timezone="UTC"), assets=[LANDED_DUMPS]
    ),
    start_date=START_DATE,
    catchup=True,  # also for missed days; a run without new dumps takes seconds
    max_active_runs=1,  # dumps are loaded in the order of delivery; further runs are queued
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags=["ingest"],
    params={"dump": DUMP_PARAM} | LIMITS,
)
def ingest_tweets() -> None:
    """Deliver dumps, load them, start reviews, and report refused dumps."""

    @task
    def deliver() -> None:
        client, local = TimedWebHDFSHook().get_conn(), Path(os.environ["VAXPULSE_LANDING"])
        dump = get_current_context()["params"]["dump"]
        try:
            if dump:
                log.info("delivered: %s", landing.deliver_dump(client, dump, local, HDFS))
            else:
                landing.deliver_everything(client, local)
        except ValueError as error:
            fail_without_retry(str(error))

    @task(trigger_rule="all_done")  # also if another dump could not be delivered or loaded
    def find_held() -> list[dict[str, Any]]:
        held = read_dumps("state = 'held'")
        for dump in held:
            log.warning("%s is held: %s", dump["source"], dump["reason"])
        return build_review_runs(held)

    @task(trigger_rule="none_failed")  # also if nothing was loaded
    def report() -> None:
        context = get_current_context()
        failed = (context["ti"].xcom_pull(task_ids="load_dumps") or {}).get("failed", [])
        problems = [f"{source} could not be loaded: see the log of load_dumps" for source in failed]
        problems += [
            f"{dump['source']} is refused: {dump['reason']}"
            for dump in read_dumps("state = 'refused'")
            if dump["run_id"] == context["run_id"]
        ]
        if problems:
            fail_without_retry("; ".join(problems))

    load = loading_task(
        "load_dumps",
        {"delivered": hdfs_paths.uri(HDFS, hdfs_paths.DELIVERED)} | LOADING_OPTIONS | GATE_OPTIONS,
        returns_json=True,
        outlets=[TWEETS_RAW],
        **writes_tables(LOAD),
        trigger_rule="all_done",  # load the delivered dumps even if others could not be delivered
    )
    delivered, held = deliver(), find_held()
    delivered >> load >> held
    [delivered, load] >> report()
    TriggerDagRunOperator.partial(
        task_id="start_review",
        trigger_dag_id="review_dump",
        logical_date=None,  # a run is for one dump, not for a data interval
        skip_when_already_exists=True,
    ).expand_kwargs(held)


ingest_tweets()
