"""### Take dumps of tweets into HDFS and into the table `tweets_raw`

**What.** Fetches CSV files, keeps each byte for byte in HDFS under the SHA-256 of its content, then one Spark job a dump reads its
records into `tweets_raw`. Records that break a rule go to `quarantine` with the reason; one row in `dumps` accounts for all of them.

**When.** Within a minute after a file has landed in the HDFS folder `/vaxpulse/landing`; every day for whatever lies in the landing
folders, days that were missed included; and when somebody presses *Trigger*, with the address of a dump or without.
The same content again, under whatever name, changes nothing: the run ends green with `load_dump` skipped.

**Needs.** The connections `webhdfs_default` and `spark_default`, and `VAXPULSE_LANDING`, the landing folder on the workers' machine.
Write a file under a hidden or `.part` name and rename it when it is whole.

**If it fails.** Read the log of the red task: the last line says what is wrong with the dump. Nothing of a refused dump is written.
After a crash clear the task; it replaces exactly what it had begun.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from airflow.providers.apache.hdfs.hooks.webhdfs import WebHDFSHook
from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, Param, dag, get_current_context, task
from vaxpulse_airflow.dumps import claim_dump, keep_claimed, landed_dumps, landed_local_dumps, store_dump

from common.assets import CLAIMED_FOLDER, DUMPS, HDFS, LANDED_DUMPS, LANDING_FOLDER, QUARANTINE, RAW_FOLDER, TWEETS_RAW
from common.defaults import DEFAULT_ARGS, FIRST_DAY, spark_job_arguments, spark_jobs

log = logging.getLogger(__name__)


def loaded_hashes(dumps_uri: str) -> set[str]:
    """Return the hashes of all dumps that the table `dumps` accounts for; without a JVM, in a second."""
    import pyarrow
    from deltalake import DeltaTable, QueryBuilder

    if not DeltaTable.is_deltatable(dumps_uri):
        return set()
    rows = QueryBuilder().register("dumps", DeltaTable(dumps_uri)).execute("SELECT dump_sha256 FROM dumps").read_all()
    return set(pyarrow.table(rows)["dump_sha256"].to_pylist())


def collect(dump: str | None, client: Any, local_landing: Path) -> dict[str, str]:
    """Bring dumps to where they are kept in HDFS.

    Args:
        dump: the address of one dump; without it everything in the landing folders.
        client: the WebHDFS client.
        local_landing: the landing folder on this machine.

    Returns:
        The source of each dump by its hash, in the order in which they are to be loaded: the oldest first, so that the newest wins.
    """
    if dump:
        return {store_dump(dump, client, RAW_FOLDER): dump}
    for path in landed_dumps(client, LANDING_FOLDER):
        claim_dump(path, client, CLAIMED_FOLDER, RAW_FOLDER)
    return keep_claimed(client, CLAIMED_FOLDER, RAW_FOLDER) | {
        store_dump(path, client, RAW_FOLDER): path for path in landed_local_dumps(local_landing)
    }


def load_arguments(sha256: str, source: str, run_id: str) -> list[str]:
    """Return the arguments of the job that loads one dump."""
    return spark_job_arguments(
        {
            "dump": f"{HDFS}{RAW_FOLDER}/{sha256}.csv",
            "source": source,
            "run-id": run_id,
            "tweets-raw": TWEETS_RAW.uri,
            "quarantine": QUARANTINE,
            "dumps": DUMPS,
        }
    )


@dag(
    # Midnight UTC for what lies in the landing folders, and at once when the watched folder in HDFS has something new.
    schedule=AssetOrTimeSchedule(timetable=CronTriggerTimetable("0 0 * * *", timezone="UTC"), assets=[LANDED_DUMPS]),
    start_date=FIRST_DAY,
    catchup=True,  # a day that was missed is made up; a run with nothing new ends in seconds
    max_active_runs=1,  # one writer on the tables at a time; further triggers wait their turn
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags=["ingest"],
    params={
        "dump": Param(
            None,
            type=["null", "string"],
            minLength=1,
            title="Dump",
            description="A CSV file, plain or gzip: a path on the machine that runs Airflow's tasks, an hdfs:// URI, or an http(s) URL. It needs "
            "the columns `tweet_id` and `safe_text` (or `safe_tweet`); `label` and `agreement` are optional. "
            "Leave it empty to take whatever lies in the landing folders.",
        )
    },
)
def ingest_tweets() -> None:
    """Link the two halves: the files into HDFS, their records into the tables."""

    @task
    def collect_dumps() -> list[list[str]]:
        context = get_current_context()
        collected = collect(context["params"]["dump"], WebHDFSHook().get_conn(), Path(os.environ["VAXPULSE_LANDING"]))
        known = loaded_hashes(DUMPS)
        for sha256, source in collected.items():
            log.info("%s: %s %s", "loaded before" if sha256 in known else "new", sha256, source)
        return [load_arguments(sha256, source, context["run_id"]) for sha256, source in collected.items() if sha256 not in known]

    # None at all is a run with nothing to do: Airflow then skips the task, and no Asset changes.
    spark_jobs("load_dump", collect_dumps(), outlets=[TWEETS_RAW])


ingest_tweets()
