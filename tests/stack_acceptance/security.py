"""Check logins, roles and ports of a running stack, and that Docker shows no secret."""

import json
import secrets
from collections.abc import Iterator
from typing import Any

from contracts import roles
from deploy.common.deployment import ADMIN
from deploy.stack import docker, settings
from tests.stack_acceptance.http import airflow_login, basic, request

OFFICIAL = ("postgres:", "redis:")  # their entrypoints drop root


def find_problems(values: dict[str, str]) -> Iterator[str]:
    """Yield all problems.

    Args:
        values: the variables of .env.
    """
    urls = settings.addresses(values)
    yield from find_login_problems(urls, values)
    yield from find_role_problems(urls["airflow"], values)
    containers = inspect_containers()
    yield from find_port_problems(containers, values)
    hidden = {name: value for name, value in values.items() if not name.startswith(("VAXPULSE_", "COMPOSE_"))}
    for container in containers:
        shown = json.dumps(container)
        for name, value in hidden.items():
            if value in shown:
                yield f"docker inspect {container['Name']} shows {name}"
        if not container["Config"]["User"] and not container["Config"]["Image"].startswith(OFFICIAL):
            yield f"{container['Name']} runs as root"
    for place, shown in read_outputs(urls["spark_history"]):
        for name, value in hidden.items():
            if value in shown:
                yield f"{place} shows {name}"
    for image in sorted({container["Config"]["Image"] for container in containers}):
        history = docker.docker("history", "--no-trunc", "--format", "{{json .}}", image)
        shown = history + docker.docker("image", "inspect", image)
        for name, value in hidden.items():
            if value in shown:
                yield f"the history of {image} shows {name}"


def read_outputs(history: str) -> Iterator[tuple[str, str]]:
    """Yield each place that may show a secret, with its content."""
    yield "docker compose logs", docker.docker("compose", "logs", "--no-color")
    yield "the arguments of processes", docker.docker("compose", "top")
    task_logs = "find /opt/airflow/logs -type f -exec cat {} +"
    yield "a task log", docker.docker("compose", "exec", "-T", "airflow-worker", "sh", "-c", task_logs)
    for database in ("airflow", "mlflow"):  # XComs, parameters, and the arguments of Airflow's tasks
        dump = f"pg_dump --username=postgres --data-only {database}"
        content = docker.docker("compose", "exec", "-T", "postgres", "sh", "-c", dump)
        yield f"the database {database}", content
    _, applications = request("GET", f"{history}/api/v1/applications")
    for application in applications or []:
        page = f"{history}/api/v1/applications/{application['id']}/environment"
        yield page, json.dumps(request("GET", page)[1])


def inspect_containers() -> list[dict[str, Any]]:
    """Return the output of `docker inspect` for each container of the stack, including stopped containers."""
    names = docker.docker("compose", "ps", "--all", "--quiet").split()
    found: list[dict[str, Any]] = json.loads(docker.docker("inspect", *names))
    return found


def find_login_problems(urls: dict[str, str], values: dict[str, str]) -> Iterator[str]:
    """Yield pages that respond without a login, and pages that do not respond with one."""
    experiments = f"{urls['mlflow']}/api/2.0/mlflow/experiments/search?max_results=1"
    for url, headers, expected in (
        (f"{urls['airflow']}/api/v2/dags", {}, 401),
        (f"{urls['airflow']}/vaxpulse/reports/explore_tweets/any", {}, 401),
        (f"{urls['airflow']}/pulse/overview", {}, 401),
        (experiments, {}, 401),
        (experiments, basic(ADMIN, "wrong"), 401),
        (f"{urls['mlflow']}/api/2.0/mlflow-artifacts/artifacts", {}, 401),
        (f"{urls['mlflow']}/", {}, 401),
        (experiments, basic(ADMIN, values["MLFLOW_PASSWORD"]), 200),
    ):
        status, _ = request("GET", url, headers=headers)
        if status != expected:
            yield f"{url} answered {status}, not {expected}"
    login = {"username": ADMIN, "password": "wrong"}
    status, _ = request("POST", f"{urls['airflow']}/auth/token", login)
    if status != 401:
        yield f"Airflow answered {status} to a wrong password"


# Triggers that are invalid, so that they start no run: status 400 if the user may run the DAG, else 403.
INVALID_TRIGGERS = {
    "ingest_tweets": {"dump": ""},
    "review_dump": {},
    "retract_dump": {},
    "train_classifiers": {"presets": []},
    "cross_validate": {"folds": 0},
    "score_tweets": {"engine": "none"},
}
MAY_RUN = {
    "Viewer": set(),
    roles.DELIVERER: {"ingest_tweets"},
    roles.CURATOR: {"ingest_tweets", "review_dump", "retract_dump"},
    roles.MODELER: {"train_classifiers", "cross_validate", "score_tweets"},
}


def find_role_problems(airflow: str, values: dict[str, str]) -> Iterator[str]:
    """Yield the permissions that a user with a role has wrongly or lacks. The users are temporary."""
    admin = airflow_login(airflow, ADMIN, values["AIRFLOW_PASSWORD"])
    for role, may_run in MAY_RUN.items():
        name, password = f"smoke-{role.lower()}", secrets.token_urlsafe(24)
        user = {"username": name, "password": password, "email": f"{name}@localhost"}
        user |= {"first_name": "smoke", "last_name": role, "roles": [{"name": role}]}
        request("DELETE", f"{airflow}/auth/fab/v1/users/{name}", headers=admin)
        status, body = request("POST", f"{airflow}/auth/fab/v1/users", user, admin)
        if status not in (200, 201):
            yield f"Airflow answered {status} when the administrator created a user: {body}"
            continue
        try:
            login = airflow_login(airflow, name, password)
            checks = [
                ("GET", "/api/v2/dags", None, 200),
                ("GET", "/pulse/overview", None, 200),
                ("GET", "/pulse/bring", None, 200 if "ingest_tweets" in may_run else 403),
                ("POST", "/api/v2/dags/clean_tweets/dagRuns", {"logical_date": None}, 403),
                ("PATCH", "/api/v2/dags/clean_tweets?update_mask=is_paused", {"is_paused": True}, 403),
                ("GET", "/auth/fab/v1/users", None, 403),
                ("GET", "/api/v2/connections", None, 403),
            ]
            for dag_id, conf in INVALID_TRIGGERS.items():
                body = {"logical_date": None, "conf": conf}
                expected = 400 if dag_id in may_run else 403
                checks.append(("POST", f"/api/v2/dags/{dag_id}/dagRuns", body, expected))
            for method, path, content, expected in checks:
                status, _ = request(method, airflow + path, content, login)
                if status != expected:
                    yield f"a {role} gets {status}, not {expected}, for {method} {path}"
        finally:
            request("DELETE", f"{airflow}/auth/fab/v1/users/{name}", headers=admin)


def find_port_problems(containers: list[dict[str, Any]], values: dict[str, str]) -> Iterator[str]:
    """Yield the ports that must not be published."""
    allowed = {url.rpartition(":")[2] for url in settings.addresses(values).values()}
    for container in containers:
        for bindings in container["NetworkSettings"]["Ports"].values():
            for binding in bindings or []:
                if binding["HostIp"] != "127.0.0.1" or binding["HostPort"] not in allowed:
                    yield f"{container['Name']} publishes {binding['HostIp']}:{binding['HostPort']}"
