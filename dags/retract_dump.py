"""### Take a loaded dump back

**What.** Removes the rows of one dump from `tweets_raw` and `quarantine`. The tweets of the dumps before it are current again, also in `tweets_clean`
and everything after it. The table `dumps` keeps its row with the state `retracted` and the reason. The bytes stay in HDFS; a dump that is delivered
once more is loaded once more.

**When.** When somebody presses *Trigger* and gives the SHA-256 of a dump (the table `dumps` has it) and a reason.

**Needs.** Older versions of a tweet, if they are to come back: `maintain_tables` drops them after its retention.

**If it fails.** The last line of the log says why. Clear the task: it goes on where it stopped.
"""

from __future__ import annotations

from airflow.sdk import Param, dag

from common.assets import LOADING_ARGUMENTS, TWEETS_RAW
from common.defaults import DEFAULT_ARGS, FIRST_DAY, SELDOM, SHORTEST_REASON, loading_task, writes_tables


@dag(
    schedule=None,  # by a person alone
    start_date=FIRST_DAY,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags=["ingest"],
    params={
        "dump_sha256": Param(
            type="string", pattern="^[0-9a-f]{64}$", title="Dump", description="The SHA-256 of a loaded dump."
        ),
        "reason": Param(
            type="string", minLength=SHORTEST_REASON, title="Because", description="Kept with the dump."
        ),
    },
)
def retract_dump() -> None:
    """Run the one command."""
    loading_task(
        "decide_dump",
        {
            "dump-sha256": "{{ params.dump_sha256 }}",
            **LOADING_ARGUMENTS,
            "run-id": "{{ run_id }}",
            "decision": "retract",
        },
        task_id="retract",
        reason="{{ params.reason }}",
        outlets=[TWEETS_RAW],
        **writes_tables(SELDOM),
    )


retract_dump()
