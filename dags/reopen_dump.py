"""### Reopen a rejected, refused, failed or retracted dump

**What.** Processes the stored file of a dump again, like a new delivery: it is loaded, held or refused. The
dump keeps the time of its first delivery. So it does not supersede dumps that were delivered later. If it is
held, a run of `review_dump` starts, in which a user can approve it.

**When.** On *Trigger*, with the SHA-256 of a dump from the page *Dumps* and a reason. With a *Mapping* if
the dump was refused, failed or retracted because of a wrong one. With a *Time of delivery* if a wrong clock
has dated the dump.

**Needs.** The file of the dump in HDFS.

**If it fails.** The last line of the log gives the reason. The state of the dump has not changed. Clear the
task to retry.
"""

from airflow.sdk import dag

from vaxpulse_dags.access import CURATORS
from vaxpulse_dags.assets import LOADING_OPTIONS, TWEETS_RAW
from vaxpulse_dags.forms import in_section
from vaxpulse_dags.ingestion import GATE_LIMITS, READING_LIMITS
from vaxpulse_dags.mappings import MAPPING_PARAM
from vaxpulse_dags.reviews import DELIVERED_AT_PARAM, REASON_PARAM, SHA256_PARAM, start_reviews
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
    params={
        "dump_sha256": SHA256_PARAM,
        "reason": REASON_PARAM,
        "delivered_at": DELIVERED_AT_PARAM,
    }
    | in_section("Mapping", {"mapping": MAPPING_PARAM})
    | in_section("Limits", READING_LIMITS),
)
def reopen_dump() -> None:
    """Run one command, then start the review of the dump if it is held."""
    reopen = loading_task(
        "decide_dump",
        LOADING_OPTIONS
        | {
            "dump-sha256": "{{ params.dump_sha256 }}",
            "decision": "reopen",
            "reason": "{{ params.reason }}",
            "mapping": "{{ (params.mapping or {}) | tojson }}",
            "user": "{{ dag_run.triggering_user_name or '' }}",
            "delivered-at": "{{ params.delivered_at or '' }}",
        }
        # The form has no limits of the quality gate, because users may reopen dumps that they have delivered.
        | {name: str(param.value) for name, param in GATE_LIMITS.items()}
        | {name: f"{{{{ params.{name} }}}}" for name in READING_LIMITS},
        task_id="reopen",
        outlets=[TWEETS_RAW],
        **takes_slot(RAW_WRITES, rare=True),
    )
    reopen >> start_reviews("none_failed")  # `reopen` is skipped if the dump is held


reopen_dump()
