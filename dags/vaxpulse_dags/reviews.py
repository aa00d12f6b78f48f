"""Decisions of users about dumps: form fields, the started reviews, and the answer."""

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from airflow.sdk import Param

from contracts.tables import MIN_REASON_LENGTH
from vaxpulse_dags.mappings import parse_mapping
from vaxpulse_dags.tasks import fail_without_retry

SHA256_PARAM = Param(type="string", pattern="^[0-9a-f]{64}$", title="SHA-256 of the dump")
REASON: dict[str, Any] = {"minLength": MIN_REASON_LENGTH, "title": "Reason for the decision"}
REASON_PARAM = Param(type="string", **REASON)
# Null until a user answers: Airflow validates the params of a task when the task starts.
ANSWER_PARAM = Param(None, type=["null", "string"], **REASON)

# Params of `ingest_tweets` that also apply when the dump is read again for its approval.
READING_LIMITS = ("max_decompressed_gib", "max_text_length")
# Options in the form, and the decisions of `loading.decide_dump`.
DECISIONS = {"Approve": "approve", "Reject": "reject"}


def read_answer(answer: dict[str, Any], has_questions: bool) -> dict[str, str]:
    """Return decision, reason, mapping (JSON) and user of an answer. Fail the task if it is incomplete.

    Args:
        answer: result of the task that waits for the user.
        has_questions: whether the dump can only be loaded with a mapping.
    """
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
    user = answer["responded_by_user"]["name"]
    return {"decision": decision, "reason": reason, "mapping": json.dumps(mapping), "user": user}


def fail_answer(problem: str) -> NoReturn:
    """Fail the task that reads an answer."""
    fail_without_retry(f"{problem}: clear `decide` and answer again")


def build_review_runs(held: list[dict[str, Any]], params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one run of `review_dump` for each held dump. The same delivery always gets the same run id.

    Args:
        held: rows of `dumps`.
        params: values of the form of `ingest_tweets`. The limits in READING_LIMITS also apply to the review.
    """
    return [
        {
            "trigger_run_id": f"held__{dump['dump_sha256'][:16]}__{dump['delivered_at']:%Y%m%dT%H%M%S}",
            "conf": {
                "dump_sha256": dump["dump_sha256"],
                **{name: params[name] for name in READING_LIMITS},
            },
        }
        for dump in held
    ]
