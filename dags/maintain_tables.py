"""### Keep the tables fast and small

**What.** One Spark job: OPTIMIZE merges small files, VACUUM removes files that no version within the retention needs any more. It prints how
many files each table had before and after.

**When.** Every Sunday night.

**Needs.** The connection `spark_default`.

**If it fails.** Nothing is lost: both commands leave the newest version as it is. Clear the task, or wait for next Sunday.
"""

from __future__ import annotations

from airflow.sdk import Param, dag

from common.assets import TABLE_URIS
from common.defaults import DEFAULT_ARGS, FIRST_DAY, spark_job


@dag(
    schedule="0 3 * * 0",
    start_date=FIRST_DAY,
    catchup=False,  # what was not tidied last week is tidied this week
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
            description="Older versions of the tables can be read this long (Delta time travel).",
        )
    },
)
def maintain_tables() -> None:
    """Run the one job."""
    spark_job("maintain_tables", {"tables": ",".join(TABLE_URIS), "retention-hours": "{{ params.retention_hours }}"})


maintain_tables()
