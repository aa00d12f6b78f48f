"""Which users may run a DAG, and whether a user may decide about a dump of their own."""

import os
from collections.abc import Collection

from contracts.roles import CURATOR, DELIVERER, MODELER


def may_run(*roles: str) -> dict[str, Collection[str]]:
    """Return `access_control` of a DAG that these roles may run. Only FabAuthManager uses it.

    Without it, only Airflow's own roles Admin, Op and User may run a DAG.
    """
    return {role: {"can_edit"} for role in roles}


DELIVERERS = may_run(DELIVERER, CURATOR)
CURATORS = may_run(CURATOR)
MODELERS = may_run(MODELER)


def allows_self_review() -> bool:
    """Return whether a user may decide about dumps of their own, because the deployment has only one user."""
    return {"allowed": True, "forbidden": False}[os.environ["VAXPULSE_SELF_REVIEW"]]
