"""Forms on the page of a dump: decide about a held dump, retract a loaded one, reopen another.

They answer runs of review_dump, or start runs of retract_dump and reopen_dump, through Airflow's API.
"""

import json
from typing import Annotated, Any, Literal
from urllib.parse import quote

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends, Form, HTTPException, Request
from fastapi.responses import RedirectResponse

from contracts.tables import FAILED, HELD, LOADED, MIN_REASON_LENGTH, REFUSED, REJECTED, RETRACTED
from vaxpulse_airflow.pages.access import check_origin, check_token, may_answer, may_see, may_trigger
from vaxpulse_airflow.pages.data.airflow_client import AirflowApi
from vaxpulse_airflow.pages.dumps import DAG_ID, Sha256, find_dump

REVIEW, RETRACT, REOPEN = "review_dump", "retract_dump", "reopen_dump"
REOPENABLE = (REJECTED, REFUSED, FAILED, RETRACTED)
MAX_WAITING = 100  # the limit of a page of the API; 16 runs of review_dump can wait


def check_form(request: Request, user: GetUserDep, token: Annotated[str, Form(max_length=200)]) -> None:
    """Refuse a form that a page of another site has sent, or whose token has expired."""
    check_origin(request)
    check_token(user, token)


Reason = Annotated[str, Form(min_length=MIN_REASON_LENGTH, max_length=2000)]
Mapping = Annotated[str, Form(max_length=100_000)]

router = APIRouter(prefix="/dumps", dependencies=[may_see(DAG_ID), Depends(check_form)])


def find_action(user: Any, state: str) -> str | None:
    """Return the DAG that the user may use for a dump in this state, or None."""
    if state == HELD:
        return REVIEW if may_answer(user, REVIEW) else None
    dag_id = RETRACT if state == LOADED else REOPEN if state in REOPENABLE else None
    return dag_id if dag_id and may_trigger(user, dag_id) else None


@router.post("/{sha256}/retract_dump")
def retract(request: Request, sha256: Sha256, reason: Reason) -> RedirectResponse:
    """Start retract_dump, and lead to the run."""
    find_dump(request.app.state.tables, sha256)
    return start_run(request, RETRACT, {"dump_sha256": sha256, "reason": reason.strip()})


@router.post("/{sha256}/reopen_dump")
def reopen(request: Request, sha256: Sha256, reason: Reason, mapping: Mapping = "") -> RedirectResponse:
    """Start reopen_dump, and lead to the run."""
    find_dump(request.app.state.tables, sha256)
    conf = {"dump_sha256": sha256, "reason": reason.strip(), "mapping": parse_mapping(mapping)}
    return start_run(request, REOPEN, conf)


@router.post("/{sha256}/review_dump")
def review(
    request: Request,
    sha256: Sha256,
    reason: Reason,
    decision: Annotated[Literal["Approve", "Reject"], Form()],
    mapping: Mapping = "",
) -> RedirectResponse:
    """Answer the run of review_dump that waits for the decision, and lead to the run."""
    airflow: AirflowApi = request.app.state.open_api(request)
    run_id = find_review(airflow, sha256)
    answer = {"mapping": parse_mapping(mapping), "reason": reason.strip()}
    path = f"/api/v2/dags/{REVIEW}/dagRuns/{quote(run_id, safe='')}/taskInstances/decide/-1/hitlDetails"
    airflow.patch(path, {"chosen_options": [decision], "params_input": answer})
    return lead_to(request, REVIEW, run_id)


def find_review(airflow: AirflowApi, sha256: str) -> str:
    """Return the id of the run that waits for a decision about a dump. Its id begins with the hash.

    Raises:
        HTTPException: 409 if there is none.
    """
    path = f"/api/v2/dags/{REVIEW}/dagRuns/~/hitlDetails"
    query = {"response_received": "false", "limit": MAX_WAITING, "order_by": "-created_at"}
    for detail in airflow.get(path, query)["hitl_details"]:
        run_id: str = detail["task_instance"]["dag_run_id"]
        if run_id.startswith(f"held__{sha256[:16]}__"):
            return run_id
    raise HTTPException(
        409,
        "No run of review_dump waits for a decision about this dump. It was answered, or has not started.",
    )


def parse_mapping(text: str) -> dict[str, Any] | None:
    """Return the mapping in a field, or None if the field is empty. The DAG checks its parts.

    Raises:
        HTTPException: 400 if it is not a JSON object.
    """
    if not text.strip():
        return None
    try:
        mapping = json.loads(text)
    except ValueError as error:
        raise HTTPException(400, f"The mapping is not JSON: {error}.") from None
    if not isinstance(mapping, dict):
        raise HTTPException(400, "The mapping is not a JSON object.")
    return mapping


def start_run(request: Request, dag_id: str, conf: dict[str, Any]) -> RedirectResponse:
    """Start a run of a DAG as the user, and lead to its page."""
    airflow: AirflowApi = request.app.state.open_api(request)
    run = airflow.post(f"/api/v2/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf})
    return lead_to(request, dag_id, run["dag_run_id"])


def lead_to(request: Request, dag_id: str, run_id: str) -> RedirectResponse:
    """Redirect to the page of a run in Airflow."""
    airflow = request.scope.get("root_path", "").rpartition("/")[0]
    return RedirectResponse(f"{airflow}/dags/{dag_id}/runs/{quote(run_id, safe=':+~')}", 303)
