"""Decisions of users about dumps: form fields, the shown figures, and the answer."""

from typing import Any

from airflow.sdk import Param

from contracts.tables import MIN_REASON_LENGTH
from vaxpulse_dags.tasks import fail_without_retry

SHA256_PARAM = Param(type="string", pattern="^[0-9a-f]{64}$", title="SHA-256 of the dump")
REASON: dict[str, Any] = {"minLength": MIN_REASON_LENGTH, "title": "Reason for the decision"}
REASON_PARAM = Param(type="string", **REASON)
# Null until a user answers: Airflow validates the params of a task when the task starts.
ANSWER_PARAM = Param(None, type=["null", "string"], **REASON)

# Options in the form, and the decisions of `loading.decide_dump`.
DECISIONS = {"Approve": "approve", "Reject": "reject"}

FIGURES = """**{source}**, delivered {delivered_at:%Y-%m-%d %H:%M} UTC, is held: {reason}

| | |
|---|---|
| records | {records:,} |
| accepted | {accepted:,} |
| duplicates | {duplicates:,} |
| quarantined | {quarantined:,} |
| negative, neutral, positive | {negative:,}, {neutral:,}, {positive:,} |
| median text length, characters | {median_text_length} |
| distance of the label shares from earlier dumps | {label_distance} |

The rejected records are in the table `quarantine`, the file is in the folder `raw` of HDFS, both with the
SHA-256 `{dump_sha256}`.
"""


def describe_dump(dump: dict[str, Any]) -> str:
    """Return the figures of a held dump as Markdown. A missing figure is a hyphen."""
    return FIGURES.format(**{name: "-" if value is None else value for name, value in dump.items()})


def read_answer(answer: dict[str, Any]) -> dict[str, str]:
    """Return the decision and the reason of a user's answer. Fail the task if there is no reason."""
    reason = (answer["params_input"].get("reason") or "").strip()
    if len(reason) < MIN_REASON_LENGTH:
        fail_without_retry(
            f"the reason must have at least {MIN_REASON_LENGTH} characters: clear `decide` and answer again"
        )
    return {"decision": DECISIONS[answer["chosen_options"][0]], "reason": reason}


def build_review_runs(held: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one run of `review_dump` for each held dump. The same delivery always gets the same run id."""
    return [
        {
            "trigger_run_id": f"held__{dump['dump_sha256'][:16]}__{dump['delivered_at']:%Y%m%dT%H%M%S}",
            "conf": {"dump_sha256": dump["dump_sha256"]},
        }
        for dump in held
    ]
