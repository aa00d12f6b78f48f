"""### List the mappings of users, and withdraw one

**What.** Lists the table `mappings` in the log of `list_mappings`. Each mapping is the answer of a user about
a dump, and applies to later dumps with the same columns. With the SHA-256 of a header, the mapping of this
header is withdrawn. Later dumps with these columns are held again if they are ambiguous. Loaded dumps do not
change.

**When.** On *Trigger*, with or without the SHA-256 of a header. Without it, the run only lists the mappings.

**Needs.** To withdraw a mapping, its `header_sha256`. The log of `list_mappings` shows it: trigger the DAG
with an empty field first.

**If it fails.** The last line of the log gives the reason. Clear the task to retry.
"""

import logging

from airflow.sdk import dag, get_current_context, task

from vaxpulse_dags.access import CURATORS
from vaxpulse_dags.assets import MAPPINGS
from vaxpulse_dags.mappings import HEADER_PARAM, format_mappings
from vaxpulse_dags.tables import read_mappings
from vaxpulse_dags.tasks import DEFAULT_ARGS, RAW_WRITES, START_DATE, loading_task, takes_slot

log = logging.getLogger(__name__)


@dag(
    schedule=None,  # a user triggers it
    start_date=START_DATE,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags=["ingest"],
    access_control=CURATORS,
    params={"header_sha256": HEADER_PARAM},
)
def withdraw_mapping() -> None:
    """List the mappings, and run one command if a header is given."""

    @task.short_circuit
    def list_mappings() -> bool:
        log.info("mappings:\n%s", format_mappings(read_mappings()))
        return bool(get_current_context()["params"]["header_sha256"])

    withdraw = loading_task(
        "withdraw_mapping",
        {"mappings": MAPPINGS, "header-sha256": "{{ params.header_sha256 }}"},
        task_id="withdraw",
        **takes_slot(RAW_WRITES, rare=True),
    )
    list_mappings() >> withdraw


withdraw_mapping()
