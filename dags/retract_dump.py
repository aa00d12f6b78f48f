"""### Retract a loaded dump

**What.** Deletes the rows of one dump from `tweets_raw` and `quarantine`. The tweets of earlier dumps become
current again, also in `tweets_clean` and all later tables. The row in `dumps` gets the state `retracted` and
the reason. The file stays in HDFS. If the dump is delivered again, nothing changes: only `reopen_dump` loads
it again.

**When.** On *Trigger*, with the SHA-256 of a dump from the page *Dumps* and a reason.

**Needs.** The superseded rows of earlier dumps in `tweets_raw`. `maintain_tables` deletes them after 30 days.
If a dump is retracted later than that, its tweets do not return to the earlier dumps. To get them back,
trigger `retract_dump` and then `reopen_dump` for the earlier dump.

**If it fails.** The last line of the log gives the reason. Clear the task to retry: it continues where it
stopped.
"""

from airflow.sdk import dag

from vaxpulse_dags.access import CURATORS
from vaxpulse_dags.assets import LOADING_OPTIONS, TWEETS_RAW
from vaxpulse_dags.reviews import REASON_PARAM, SHA256_PARAM
from vaxpulse_dags.tasks import DEFAULT_ARGS, RAW_WRITES, START_DATE, loading_task, takes_slot


@dag(
    schedule=None,  # a user triggers it
    start_date=START_DATE,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags=["ingest"],
    access_control=CURATORS,
    params={"dump_sha256": SHA256_PARAM, "reason": REASON_PARAM},
)
def retract_dump() -> None:
    """Run one command."""
    loading_task(
        "decide_dump",
        LOADING_OPTIONS
        | {"dump-sha256": "{{ params.dump_sha256 }}", "decision": "retract", "reason": "{{ params.reason }}"},
        task_id="retract",
        outlets=[TWEETS_RAW],
        **takes_slot(RAW_WRITES, rare=True),
    )


retract_dump()
