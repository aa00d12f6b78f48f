"""Create the roles of contracts.roles in Airflow: `python docker/create_roles.py`, by airflow-init.

A role may read everything that Airflow's role Viewer reads. `access_control` of a DAG adds the permission to
edit this DAG, without which the permissions below have no effect on it.
"""

from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
from airflow.providers.fab.www.security import permissions

from contracts import roles

TRIGGER = (permissions.ACTION_CAN_CREATE, permissions.RESOURCE_DAG_RUN)
ANSWER = (permissions.ACTION_CAN_EDIT, permissions.RESOURCE_HITL_DETAIL)
CLEAR = [
    (permissions.ACTION_CAN_EDIT, permissions.RESOURCE_DAG_RUN),
    (permissions.ACTION_CAN_EDIT, permissions.RESOURCE_TASK_INSTANCE),
]
# Without the permissions to edit XComs, Connections and Variables.
PERMISSIONS = {
    roles.DELIVERER: [TRIGGER],
    roles.CURATOR: [TRIGGER, ANSWER, *CLEAR],
    roles.MODELER: [TRIGGER, ANSWER, *CLEAR],
}


def create_roles() -> None:
    """Create the roles, and add missing permissions to existing ones."""
    with get_application_builder() as builder:
        manager = builder.sm
        manager.bulk_sync_roles(
            {"role": name, "perms": [*manager.VIEWER_PERMISSIONS, *added]}
            for name, added in PERMISSIONS.items()
        )


if __name__ == "__main__":
    create_roles()
