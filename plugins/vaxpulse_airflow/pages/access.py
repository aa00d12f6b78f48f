"""Who may see and change what: Airflow's permissions for DAGs, and tokens against forms of other sites."""

import hashlib
import hmac
import time
from typing import Any
from urllib.parse import urlsplit

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api import security
from airflow.configuration import conf
from airflow.models.dag import DagModel
from fastapi import Depends, HTTPException, Request

TOKEN_SECONDS = 12 * 3600


def may_see(dag_id: str) -> Any:
    """Return the dependency of a page about the runs of a DAG and their data: the user may read the runs."""
    return Depends(security.requires_access_dag("GET", DagAccessEntity.RUN, param_dag_id=dag_id))


def may_trigger(user: Any, dag_id: str) -> bool:
    """Return whether a user may start a run of a DAG. Airflow checks it again when the run is started."""
    return _is_authorized(user, dag_id, "POST", DagAccessEntity.RUN)


def may_answer(user: Any, dag_id: str) -> bool:
    """Return whether a user may answer a question (*Required Actions*) of a DAG."""
    return _is_authorized(user, dag_id, "PUT", DagAccessEntity.HITL_DETAIL)


def can_see(user: Any, dag_id: str) -> bool:
    """Return whether a user may read the runs of a DAG."""
    return _is_authorized(user, dag_id, "GET", DagAccessEntity.RUN)


def _is_authorized(user: Any, dag_id: str, method: Any, entity: DagAccessEntity) -> bool:
    details = DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id))
    manager = security.get_auth_manager()
    return manager.is_authorized_dag(method=method, access_entity=entity, details=details, user=user)


def form_token(user: Any) -> str:
    """Return the token of a user's forms. Another site cannot read it, and it expires."""
    expiry = f"{time.time() + TOKEN_SECONDS:.0f}"
    return f"{expiry}.{_sign(user, expiry)}"


def check_token(user: Any, token: str) -> None:
    """Raise HTTPException 403 if a form does not have a valid token of the user."""
    expiry, _, signature = token.partition(".")
    is_signed = hmac.compare_digest(signature.encode(), _sign(user, expiry).encode())
    if not is_signed or int(expiry) < time.time():
        raise HTTPException(403, "This form has expired. Go back, reload the page, and try again.")


def check_origin(request: Request) -> None:
    """Raise HTTPException 403 if a page of another site has sent the request."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "same-origin")
    if site not in ("same-origin", "none") or (
        origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    ):
        raise HTTPException(403, "A page of another site has sent this form.")


def _sign(user: Any, expiry: str) -> str:
    key = conf.get_mandatory_value("api", "secret_key").encode()
    return hmac.new(key, f"form {user.get_id()} {expiry}".encode(), hashlib.sha256).hexdigest()
