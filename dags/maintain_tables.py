"""### Maintain the Delta tables: delete old rows, merge small files, VACUUM

**What.** Three Spark jobs, one after the other, for the tables that loading, cleaning and scoring write.
While a job runs, only tasks that write the same tables wait. The first one deletes rows of `tweets_raw` that
later deliveries superseded before the retention period. Current tweets do not change. OPTIMIZE merges small
files. VACUUM deletes files that no version within the retention period needs. The log shows the number of
files before and after for each table.

**When.** Every Sunday at 01:30 UTC, or on *Trigger*.

**Needs.** The connection `spark_default`.

**If it fails.** No data is lost: each step is one commit per table. Clear the task, or wait for the next
Sunday.
"""

from datetime import timedelta

from airflow.sdk import Param, chain, dag

from contracts.retention import DEFAULT_RETENTION, MIN_RETENTION
from vaxpulse_dags.assets import TWEETS_RAW, table_uri
from vaxpulse_dags.tasks import (
    DEFAULT_ARGS,
    RAW_WRITES,
    START_DATE,
    WRITTEN_TABLES,
    spark_job,
    takes_slot,
)

HOUR = timedelta(hours=1)


@dag(
    schedule="30 1 * * 0",  # before the weekly training at 03:00, which would compete for the processors
    start_date=START_DATE,
    catchup=False,  # a run also does the work of missed runs
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags=["maintain"],
    params={
        "retention_hours": Param(
            DEFAULT_RETENTION // HOUR,
            type="integer",
            minimum=MIN_RETENTION // HOUR,
            title="Retention in hours",
            description_md="Superseded tweets and earlier table versions (time travel) stay for this time.",
        )
    },
)
def maintain_tables() -> None:
    """Run one Spark job for the tables of each pool."""
    jobs = [
        spark_job(
            "maintain_tables",
            {
                "tables": ",".join(map(table_uri, tables)),
                "tweets-raw": TWEETS_RAW.uri if pool == RAW_WRITES else None,
                "retention-hours": "{{ params.retention_hours }}",
            },
            task_id=pool.replace("writes", "maintain"),
            **takes_slot(pool, rare=True),
        )
        for pool, tables in WRITTEN_TABLES.items()
    ]
    chain(*jobs)


maintain_tables()
