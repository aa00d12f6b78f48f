"""### Review a held dump

**What.** Shows why a dump is held, and waits for a decision. The page shows questions with sampled values,
the proposed mapping, figures, and quarantined records. Find it in Airflow under *Required Actions*: approve
or reject the dump, and give a reason. If the page has questions, the field *Mapping* contains the proposal.
Correct it before you approve the dump. The mapping also applies to later dumps with the same columns, until
`withdraw_mapping` withdraws it.

An approved dump is loaded with the time of its delivery. A rejected dump is not loaded; its file stays in
HDFS. Decision and reason are stored in the table `dumps`. Other dumps do not wait.

**When.** `ingest_tweets` starts a run for each held dump.

**Needs.** A user who decides, with the role Curator. In a deployment with several users this may not be the
user who delivered the dump. Such a deployment needs `VAXPULSE_WATCHED` and the Connection `vaxpulse_api` to
find this user.

**If it fails.** If `describe` failed, the last line of its log gives the reason: clear it to retry. If
`decide` or `read_decision` failed, the reason was missing or the mapping was wrong: clear `decide` and answer
again. If `apply_decision` failed, the last line of its log gives the reason. If the mapping leaves a question
open, clear `decide` and answer again. Otherwise clear `apply_decision` to retry with the same answer.
"""

from typing import Any

from airflow.sdk import dag, get_current_context, task

from vaxpulse_airflow.forms.prefilled_form import PrefilledFormOperator
from vaxpulse_dags import mappings, review_page, reviews
from vaxpulse_dags.access import CURATORS, allows_self_review
from vaxpulse_dags.assets import LOADING_OPTIONS, TWEETS_RAW
from vaxpulse_dags.ingestion import LIMITS
from vaxpulse_dags.tables import read_dumps, read_json, read_rejected_samples
from vaxpulse_dags.tasks import (
    DEFAULT_ARGS,
    RAW_WRITES,
    START_DATE,
    fail_without_retry,
    loading_task,
    takes_slot,
)


@dag(
    schedule=None,  # ingest_tweets triggers it
    start_date=START_DATE,
    catchup=False,
    max_active_runs=16,  # several dumps can wait for a decision
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags=["ingest"],
    access_control=CURATORS,
    params={
        "dump_sha256": reviews.SHA256_PARAM,
        **{name: LIMITS[name] for name in reviews.READING_LIMITS},
    },
)
def review_dump() -> None:
    """Show the dump, wait for the decision, apply it."""

    @task(multiple_outputs=True)
    def describe() -> dict[str, Any]:
        sha256 = get_current_context()["params"]["dump_sha256"]
        held = read_dumps(f"state = 'held' AND dump_sha256 = '{sha256}'")
        if not held:
            fail_without_retry(f"there is no held dump {sha256}")
        questions = read_json(held[0], "questions", [])
        return {
            "page": review_page.build_page(
                held[0], read_rejected_samples(sha256, review_page.RECORDS_PER_REASON)
            ),
            "has_questions": bool(questions),
            # Without questions the field is empty, so that an approval stores no mapping.
            "proposal": read_json(held[0], "mapping", {}) if questions else {},
            "deliverer": None if allows_self_review() else reviews.find_deliverer(held[0]["run_id"]),
        }

    @task(multiple_outputs=False)
    def read_decision(answer: Any, has_questions: bool) -> dict[str, str]:
        context = get_current_context()
        deliverers = (
            context["ti"].xcom_pull(task_ids="describe", key="deliverer"),
            # Airflow copies the name of the user from the run of ingest_tweets that started this one.
            context["dag_run"].triggering_user_name,
        )
        return reviews.read_answer(answer, has_questions, deliverers)

    described: Any = describe()  # an XComArg; Airflow declares no type for its values
    decide = PrefilledFormOperator(
        task_id="decide",
        subject="A dump is held",
        body=described["page"],
        prefilled={"mapping": described["proposal"]},
        options=list(reviews.DECISIONS),
        params={"mapping": mappings.ANSWER_PARAM, "reason": reviews.ANSWER_PARAM},
        execution_timeout=None,  # a decision may take days; `response_timeout` is not set for the same reason
    )
    apply_decision = loading_task(
        "decide_dump",
        LOADING_OPTIONS
        | {
            "dump-sha256": "{{ params.dump_sha256 }}",
            "max-decompressed-gib": "{{ params.max_decompressed_gib }}",
            "max-text-length": "{{ params.max_text_length }}",
            "decision": "{{ ti.xcom_pull(task_ids='read_decision')['decision'] }}",
            "reason": "{{ ti.xcom_pull(task_ids='read_decision')['reason'] }}",
            "mapping": "{{ ti.xcom_pull(task_ids='read_decision')['mapping'] }}",
            "user": "{{ ti.xcom_pull(task_ids='read_decision')['user'] }}",
        },
        task_id="apply_decision",
        outlets=[TWEETS_RAW],
        **takes_slot(RAW_WRITES, rare=True),
    )
    read_decision(decide.output, described["has_questions"]) >> apply_decision


review_dump()
