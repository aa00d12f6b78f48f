"""Permissions of the roles in Airflow's FabAuthManager, on a database of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

# Prints, for each role, the DAGs that a user may trigger, answer and clear, and other permissions.
PROGRAM = """
import json
import runpy
from airflow.api_fastapi.app import create_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.dag_processing.dagbag import DagBag
from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

for _ in range(2):  # each start of the stack repeats it
    runpy.run_path("docker/create_roles.py", run_name="__main__")
manager, found, dags = create_auth_manager(), {}, DagBag().dags
with get_application_builder() as builder:
    for dag in dags.values():
        builder.sm.sync_perm_for_dag(dag.dag_id, dag.access_control)
    for role in ("Viewer", "Deliverer", "Curator", "Modeler"):
        user = builder.sm.add_user(role, role, role, f"{role}@localhost", builder.sm.find_role(role), "a")

        def may(method, entity, dag_id):
            details = DagDetails(id=dag_id)
            return manager.is_authorized_dag(method=method, access_entity=entity, details=details, user=user)

        found[role] = {
            name: sorted(dag_id for dag_id in dags if may(method, entity, dag_id))
            for name, method, entity in (
                ("trigger", "POST", DagAccessEntity.RUN),
                ("answer", "PUT", DagAccessEntity.HITL_DETAIL),
                ("clear", "PUT", DagAccessEntity.TASK_INSTANCE),
                ("edit XComs", "PUT", DagAccessEntity.XCOM),
                ("read", "GET", None),
            )
        }
        found[role]["connections"] = manager.is_authorized_connection(method="GET", user=user)
        found[role]["variables"] = manager.is_authorized_variable(method="PUT", user=user)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def permissions(tmp_path_factory):
    home = tmp_path_factory.mktemp("airflow")
    environment = os.environ | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__AUTH_MANAGER": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__API_AUTH__JWT_SECRET": "for this test only" * 4,
        "VAXPULSE_HDFS": "hdfs://namenode:8020",
        "VAXPULSE_LANDING": "/landing",
        "VAXPULSE_START_DATE": "2026-11-01",
        "PYTHONPATH": os.pathsep.join(str(REPOSITORY / folder) for folder in (".", "plugins", "dags")),
    }
    output = ""
    for command in (["-m", "airflow", "db", "migrate"], ["-c", PROGRAM]):
        done = subprocess.run(
            [sys.executable, *command],
            env=environment,
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        output = done.stdout
    return json.loads(output.splitlines()[-1])


MODELS = ["cross_validate", "score_tweets", "train_classifiers", "tune_classifier"]
DUMPS = ["ingest_tweets", "reopen_dump", "retract_dump", "review_dump", "withdraw_mapping"]


@pytest.mark.parametrize(
    ("role", "triggered", "answered"),
    [
        ("Viewer", [], []),
        ("Deliverer", ["ingest_tweets"], []),
        ("Curator", DUMPS, DUMPS),
        ("Modeler", MODELS, MODELS),
    ],
)
def test_role_may_run_its_dags_only(permissions, role, triggered, answered):
    found = permissions[role]
    assert found["trigger"] == triggered
    assert found["answer"] == found["clear"] == answered
    assert {*MODELS, *DUMPS, "clean_tweets"} <= set(found["read"])


def test_no_role_may_edit_xcoms_connections_or_variables(permissions):
    for role, found in permissions.items():
        assert (found["edit XComs"], found["connections"], found["variables"]) == ([], False, False), role
