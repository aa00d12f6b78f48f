"""### Keep the tables fast and small

**What.** One Spark job. It drops the rows of `tweets_raw` that newer deliveries had superseded before the retention began; no current tweet
changes. OPTIMIZE merges small files. VACUUM removes files that no version within the retention needs. The log shows how many files each
table had before and after.

**When.** Every Sunday night.

**Needs.** The connection `spark_default`.

**If it fails.** Nothing is lost: each command changes its table in one commit. Clear the task, or wait for next Sunday.
"""

from __future__ import annotations

from airflow.sdk import Param, dag

from common.assets import TABLE_URIS, TWEETS_RAW
from common.defaults import DEFAULT_ARGS, FIRST_DAY, SELDOM, spark_job, writes_tables


@dag(
    schedule="0 3 * * 0",
    start_date=FIRST_DAY,
    catchup=False,  # this week's run does what last week's did not
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags=["maintain"],
    params={
        "retention_hours": Param(
            720,
            type="integer",
            minimum=168,  # Delta's own floor: a reader or writer that is still at work may need a week's files
            title="Retention in hours",
            description="Superseded tweets and older versions of the tables (Delta time travel) can be read this long.",
        )
    },
)
def maintain_tables() -> None:
    """Run the one job."""
    spark_job(
        "maintain_tables",
        {
            "tables": ",".join(TABLE_URIS),
            "tweets-raw": TWEETS_RAW.uri,
            "retention-hours": "{{ params.retention_hours }}",
        },
        **writes_tables(SELDOM),
    )


maintain_tables()
