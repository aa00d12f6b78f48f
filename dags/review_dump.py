"""### Review a held dump

**What.** Shows the figures of a dump that the data-quality gate holds, and waits for a decision. Find it in
Airflow under *Required Actions*: approve or reject the dump, and give a reason. An approved dump is loaded
with the time of its delivery. A rejected dump is not loaded; its file stays in HDFS. Decision and reason are
stored in the table `dumps`. Other dumps do not wait.

**When.** `ingest_tweets` starts a run for each held dump.

**Needs.** A user who decides.

**If it fails.** If `read_decision` or `decide` failed, the reason was missing: clear `decide` and answer
again. If `apply_decision` failed, the last line of its log gives the reason. Clear it to retry with the same
answer.
"""

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import dag, get_current_context, task

from vaxpulse_dags import reviews
from vaxpulse_dags.assets import LOADING_OPTIONS, TWEETS_RAW
from vaxpulse_dags.tables import read_dumps
from vaxpulse_dags.tasks import (
    DEFAULT_ARGS,
    RARE,
    START_DATE,
    fail_without_retry,
    loading_task,
    writes_tables,
)


@dag(
    schedule=None,  # ingest_tweets triggers it
    start_date=START_DATE,
    catchup=False,
    max_active_runs=16,  # several dumps can wait for a decision
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags=["ingest"],
    params={"dump_sha256": reviews.SHA256_PARAM},
)
def review_dump() -> None:
    """Show the figures, wait for the decision, apply it."""

    @task
    def describe() -> str:
        sha256 = get_current_context()["params"]["dump_sha256"]
        held = read_dumps(f"state = 'held' AND dump_sha256 = '{sha256}'")
        if not held:
            fail_without_retry(f"there is no held dump {sha256}")
        return reviews.describe_dump(held[0])

    @task(multiple_outputs=False)
    def read_decision() -> dict[str, str]:
        return reviews.read_answer(get_current_context()["ti"].xcom_pull(task_ids="decide"))

    decide = HITLOperator(
        task_id="decide",
        subject="The data-quality gate holds a dump",
        body="{{ ti.xcom_pull(task_ids='describe') }}",
        options=list(reviews.DECISIONS),
        params={"reason": reviews.ANSWER_PARAM},
        execution_timeout=None,  # a decision may take days; `response_timeout` is not set for the same reason
    )
    apply_decision = loading_task(
        "decide_dump",
        LOADING_OPTIONS
        | {
            "dump-sha256": "{{ params.dump_sha256 }}",
            "decision": "{{ ti.xcom_pull(task_ids='read_decision')['decision'] }}",
            "reason": "{{ ti.xcom_pull(task_ids='read_decision')['reason'] }}",
        },
        task_id="apply_decision",
        outlets=[TWEETS_RAW],
        **writes_tables(RARE),
    )
    describe() >> decide >> read_decision() >> apply_decision


review_dump()
