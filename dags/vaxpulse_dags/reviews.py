"""Decisions of users about dumps: form fields, the tasks that start reviews, and the answer."""

import json
import logging
import os
from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any, NoReturn
from urllib.parse import quote

import requests
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import Param, get_current_context, task

from contracts.tables import MIN_REASON_LENGTH
from contracts.untrusted_text import mask, mask_names, reveal
from vaxpulse_airflow.airflow_api import open_api
from vaxpulse_dags.access import allows_self_review
from vaxpulse_dags.mappings import parse_mapping
from vaxpulse_dags.tables import read_dumps
from vaxpulse_dags.tasks import fail_without_retry

log = logging.getLogger(__name__)

SHA256: dict[str, Any] = {
    "pattern": "^[0-9a-f]{64}$",
    "expected": "64 hexadecimal digits, as on the page *Dumps*",
}
SHA256_PARAM = Param(type="string", **SHA256, title="SHA-256 of the dump")
REASON: dict[str, Any] = {
    "minLength": MIN_REASON_LENGTH,
    "expected": f"at least {MIN_REASON_LENGTH} characters",
    "title": "Reason",
}
REASON_PARAM = Param(type="string", **REASON)
# Null until a user answers: Airflow validates the params of a task when the task starts.
ANSWER_PARAM = Param(None, type=["null", "string"], **REASON)

# Params of `ingest_tweets` that also apply when the dump is read again for its approval.
READING_LIMITS = ("max_decompressed_gib", "max_text_length")
DELIVERED_AT_PARAM = Param(
    None,
    type=["null", "string"],
    format="date-time",
    title="Time of delivery",
    description_md="If empty, the dump keeps the time of its first delivery. Needed only if a wrong clock "
    "has dated the dump in the future.",
)

# Options in the form, and the decisions of `loading.decide_dump`.
DECISIONS = {"Approve": "approve", "Reject": "reject"}


def find_deliverer(run_id: str) -> str | None:
    """Return the user who triggered the run that delivered a dump, or None if no user did.

    The review may be started by another run, if that run failed after it had held the dump.

    Args:
        run_id: run in the row of `dumps`.

    Raises:
        requests.RequestException: Airflow's API does not respond.
    """
    from monitoring.health import Watched

    airflow = open_api(Watched.from_json(os.environ["VAXPULSE_WATCHED"]).airflow)
    for dag_id in ("ingest_tweets", "reopen_dump"):
        try:
            run = airflow(f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}", {})
        except requests.HTTPError as error:
            if error.response is None or error.response.status_code != HTTPStatus.NOT_FOUND:
                raise
        else:
            user: str | None = run["triggering_user_name"]
            return user
    return None


def read_answer(
    answer: dict[str, Any], has_questions: bool, deliverers: Collection[str | None]
) -> dict[str, str]:
    """Return decision, reason, mapping (JSON) and user of an answer. Fail the task if it is not acceptable.

    Args:
        answer: result of the task that waits for the user.
        has_questions: whether the dump can only be loaded with a mapping.
        deliverers: users who started the run that delivered the dump, and this review. None if no user did.
    """
    user = answer["responded_by_user"]["name"]
    if user in deliverers and not allows_self_review():
        fail_answer(f"{user} delivered the dump or started this review, so another user must decide")
    fields, decision = answer["params_input"], DECISIONS[answer["chosen_options"][0]]
    reason = (fields.get("reason") or "").strip()
    if len(reason) < MIN_REASON_LENGTH:
        fail_answer(f"the reason must have at least {MIN_REASON_LENGTH} characters")
    mapping: dict[str, Any] = {}
    if decision == "approve":
        try:
            mapping = parse_mapping(fields.get("mapping"))
        except ValueError as error:
            fail_answer(str(error))
        if has_questions and not mapping:
            fail_answer("the dump has questions, but the mapping is empty")
    return {"decision": decision, "reason": reason, "mapping": json.dumps(mapping), "user": user}


def fail_answer(problem: str) -> NoReturn:
    """Fail the task that reads an answer."""
    fail_without_retry(f"{problem}: clear `decide` and answer again")


@task
def find_held(delivering_task: str | None) -> list[dict[str, Any]]:
    """Return the arguments of a task that starts a review, for each held dump.

    `delivering_task` is that of `start_reviews`.
    """
    held = read_dumps("state = 'held'")
    for dump in held:
        # The reason contains the questions about the dump.
        log.warning(
            reveal(f"{mask_names(dump['source'])} is held until a user decides: {mask(dump['reason'])}")
        )
    context = get_current_context()
    uses_form = delivering_task is None or context["ti"].xcom_pull(task_ids=delivering_task)
    return build_review_runs(held, context["params"], context["run_id"] if uses_form else None)


def start_reviews(trigger_rule: str, delivering_task: str | None = None) -> Any:
    """Return the task `find_held`. After it, a mapped task starts the review of each held dump.

    Args:
        trigger_rule: that of the task.
        delivering_task: task that returns the dump to which the limits of the form apply. If it returns none,
            the run has used the default limits. None if the limits of the form always apply.
    """
    held: Any = find_held.override(trigger_rule=trigger_rule)(delivering_task)  # an XComArg
    TriggerDagRunOperator.partial(
        task_id="start_review",
        trigger_dag_id="review_dump",
        logical_date=None,  # a run is for one dump, not for a data interval
        skip_when_already_exists=True,
    ).expand_kwargs(held)
    return held


def build_review_runs(
    held: list[dict[str, Any]], params: Mapping[str, Any], run_id: str | None
) -> list[dict[str, Any]]:
    """Return one run of `review_dump` for each held dump.

    The id of the run contains the time at which the dump was held: a dump that is reopened and held again
    gets another run.

    Args:
        held: rows of `dumps`.
        params: values of the form of `ingest_tweets` or `reopen_dump`.
        run_id: run that has used the limits of this form. READING_LIMITS also apply to the reviews of the
            dumps that it has held. Reviews of other dumps have the default limits.
    """
    return [
        {
            "trigger_run_id": f"held__{dump['dump_sha256'][:16]}__{dump['ingested_at']:%Y%m%dT%H%M%S}",
            "conf": {
                "dump_sha256": dump["dump_sha256"],
                **({name: params[name] for name in READING_LIMITS} if dump["run_id"] == run_id else {}),
            },
        }
        for dump in held
    ]
