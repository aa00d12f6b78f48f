"""### Ingest dumps of tweets into HDFS and the table `tweets_raw`

**What.** Dumps are moved out of the landing folders, and then validated. Each dump gets one of four states:

- `loaded`: its tweets are in `tweets_raw`. If a tweet is in several dumps, the latest delivery wins.
- `held`: columns, ids, labels or dates are ambiguous, or the data-quality gate found a problem. A user
  decides in a run of `review_dump`; until then nothing is loaded.
- `refused`: the file is not readable, has no texts, or contains no valid tweet.
- `failed`: it could not be read or stored in *Maximum number of tries* tries, or its *Mapping* does not fit.

Dumps may have other formats than CSV, and other columns: see *Dump* and *Mapping*. Records that break a rule
go to `quarantine` with the reason. The table `dumps` has one row per dump. The file stays in HDFS under its
SHA-256.

**When.** Within 30 seconds after a file has arrived in the landing folder in HDFS. Every day at midnight UTC,
also for missed days. On *Trigger*, with or without the address of a dump and its *Mapping*. If the content is
loaded, rejected or retracted, or held and no *Mapping* is given, nothing changes. A file with erased content
is deleted. In both cases `load_dumps` is skipped and the run succeeds.

**Needs.** The connection `webhdfs_default`, and `VAXPULSE_LANDING`, the landing folder that all workers
share. Write files to a hidden or `.part` name, and rename them when they are complete.

**If it fails.** The last line of the failed task's log gives the reason. A failed `report` names the refused
and failed dumps: `reopen_dump` processes them again. No delivery is lost: the next run finds unfinished ones.
Clear the task to retry now.
"""

import logging
import os
from datetime import UTC, datetime
from pathlib import Path

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, dag, get_current_context, task

from vaxpulse_airflow import landing
from vaxpulse_airflow.download import Limits
from vaxpulse_airflow.webhdfs import TimedWebHDFSHook
from vaxpulse_dags import ingestion
from vaxpulse_dags.access import DELIVERERS
from vaxpulse_dags.assets import HDFS, LANDED_DUMPS, LOADING_OPTIONS, TWEETS_RAW
from vaxpulse_dags.reviews import start_reviews
from vaxpulse_dags.tables import read_dumps
from vaxpulse_dags.tasks import (
    DEFAULT_ARGS,
    RAW_WRITES,
    START_DATE,
    fail_without_retry,
    loading_task,
    takes_slot,
)

log = logging.getLogger(__name__)


@dag(
    # Daily for the landing folders, and after an event of the landing folder in HDFS.
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("0 0 * * *", timezone="UTC"), assets=[LANDED_DUMPS]
    ),
    # The first run delivers the files that were in a landing folder before the first start.
    start_date=START_DATE.replace(hour=0, minute=0, second=0),
    catchup=True,  # also for missed days; a run without new dumps takes seconds
    max_active_runs=1,  # dumps are loaded in the order of delivery; further runs are queued
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags=["ingest"],
    access_control=DELIVERERS,
    params=ingestion.PARAMS,
)
def ingest_tweets() -> None:
    """Deliver dumps, load them, start reviews, and report refused and failed dumps."""

    @task
    def deliver() -> str | None:
        params = get_current_context()["params"]
        ingestion.check_form(params)
        client, local = TimedWebHDFSHook().get_conn(), Path(os.environ["VAXPULSE_LANDING"])
        try:
            if not params["dump"]:
                landing.deliver_everything(client, local)
                return None
            limits = Limits(params["max_download_gib"], params["max_download_minutes"])
            source = landing.deliver_dump(client, params["dump"], local, HDFS, limits)
        except ValueError as error:
            fail_without_retry(str(error))
        log.info("delivered: %s", source)
        return source

    @task(trigger_rule="none_failed")  # also if nothing was loaded
    def report() -> None:
        context = get_current_context()
        errors = (context["ti"].xcom_pull(task_ids="load_dumps") or {}).get("errors", [])
        dumps, now = read_dumps("true"), datetime.now(UTC)
        if problems := ingestion.find_problems(dumps, context["run_id"], errors, now):
            fail_without_retry("; ".join(problems))

    load = loading_task(
        "load_dumps",
        LOADING_OPTIONS | ingestion.INGESTION_OPTIONS,
        returns_json=True,
        inlets=[LANDED_DUMPS, TWEETS_RAW],  # INGESTION_OPTIONS refers to the second one
        outlets=[TWEETS_RAW],
        **takes_slot(RAW_WRITES),
        trigger_rule="all_done",  # load the delivered dumps even if others could not be delivered
    )
    delivered = deliver()
    # Reviews start even if another dump could not be delivered or loaded.
    delivered >> load >> start_reviews("all_done", delivering_task="deliver")
    [delivered, load] >> report()


ingest_tweets()
