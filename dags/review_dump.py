"""### Decide about a dump that the data-quality gate holds

**What.** Shows the figures of one held dump and waits for a person, who finds it in Airflow under *Required Actions*: let it pass, or reject it,
with a reason. A dump that passes is loaded, and its tweets count by the time of its delivery. A rejected one never is; its bytes stay in HDFS.
The decision and the reason are kept in the table `dumps`. Other dumps do not wait.

**When.** `ingest_tweets` starts a run for each dump that it holds.

**Needs.** A person.

**If it fails.** A red `answer` or `decide` had no reason: clear `decide` and answer again. A red `carry_out` says why in its last line; clear it, the
answer is kept.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param, dag, get_current_context, task

from common.assets import LOADING_ARGUMENTS, TWEETS_RAW
from common.defaults import (
    DEFAULT_ARGS,
    FIRST_DAY,
    SELDOM,
    SHORTEST_REASON,
    fail_for_good,
    loading_task,
    writes_tables,
)
from common.dumps import read_dumps

LET_PASS, REJECT = "Let it pass", "Reject it"
DECISIONS = {LET_PASS: "pass", REJECT: "reject"}
FIGURES = """**{source}**, delivered {delivered_at:%Y-%m-%d %H:%M} UTC, is held: {reason}.

| | |
|---|---|
| records | {records:,} |
| accepted | {accepted:,} |
| duplicates | {duplicates:,} |
| in quarantine | {quarantined:,} |
| negative, neutral, positive | {negative:,}, {neutral:,}, {positive:,} |
| median text, characters | {median_text_length} |
| label distance from the dumps before it | {label_distance} |

Its bad records are in the table `quarantine`, its bytes in `raw` in HDFS, both under `{dump_sha256}`.
"""


def describe(dump: dict[str, Any]) -> str:
    """Return the figures of a dump as Markdown; an unknown one is a dash."""
    return FIGURES.format(**{name: "-" if value is None else value for name, value in dump.items()})


def read_answer(answer: dict[str, Any]) -> dict[str, str]:
    """Return decision and reason of a person's answer. Raises AirflowFailException where there is no reason."""
    reason = (answer["params_input"].get("reason") or "").strip()
    if len(reason) < SHORTEST_REASON:
        fail_for_good(
            f"the decision needs a reason of at least {SHORTEST_REASON} characters: clear `decide` and answer again"
        )
    return {"decision": DECISIONS[answer["chosen_options"][0]], "reason": reason}


@dag(
    schedule=None,  # ingest_tweets starts it
    start_date=FIRST_DAY,
    catchup=False,
    max_active_runs=16,  # dumps wait for a person side by side
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags=["ingest"],
    params={
        "dump_sha256": Param(
            type="string", pattern="^[0-9a-f]{64}$", title="Dump", description="The SHA-256 of a held dump."
        )
    },
)
def review_dump() -> None:
    """Ask, and carry the answer out."""

    @task(task_id="describe")
    def describe_dump() -> str:
        sha256 = get_current_context()["params"]["dump_sha256"]
        found = read_dumps(f"state = 'held' AND dump_sha256 = '{sha256}'")
        if not found:
            fail_for_good(f"no dump {sha256} is held")
        return describe(found[0])

    @task(task_id="answer", multiple_outputs=False)
    def read() -> dict[str, str]:
        return read_answer(get_current_context()["ti"].xcom_pull(task_ids="decide"))

    decide = HITLOperator(
        task_id="decide",
        subject="A dump is held by the data-quality gate",
        body="{{ ti.xcom_pull(task_ids='describe') }}",
        options=list(DECISIONS),
        # Null until somebody answers: Airflow validates the params of a task when it starts, too.
        params={
            "reason": Param(
                None,
                type=["null", "string"],
                minLength=SHORTEST_REASON,
                title="Because",
                description="Kept with the dump.",
            )
        },
        execution_timeout=None,  # a person may take days; `response_timeout` is not set for the same reason
    )
    carry_out = loading_task(
        "decide_dump",
        {
            "dump-sha256": "{{ params.dump_sha256 }}",
            **LOADING_ARGUMENTS,
            "run-id": "{{ run_id }}",
            "decision": "{{ ti.xcom_pull(task_ids='answer')['decision'] }}",
        },
        task_id="carry_out",
        reason="{{ ti.xcom_pull(task_ids='answer')['reason'] }}",
        outlets=[TWEETS_RAW],
        **writes_tables(SELDOM),
    )
    describe_dump() >> decide >> read() >> carry_out


review_dump()
