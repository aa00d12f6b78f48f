"""What must hold of a running stack as seen from outside: logins, roles, ports, and that Docker shows no secret."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Any

from deploy.stack import docker, settings
from deploy.stack.http import airflow_login, basic, request

VIEWER = "smoke-viewer"
OFFICIAL = ("postgres:", "redis:")  # their entrypoints leave root by themselves


def problems(values: dict[str, str]) -> Iterator[str]:
    """Yield what is wrong, a line each; nothing when all holds.

    Args:
        values: the variables of .env.
    """
    urls = settings.addresses(values)
    yield from logins(urls, values)
    yield from viewer(urls["airflow"], values)
    containers = docker.containers()
    yield from ports(containers, values)
    hidden = {name: value for name, value in values.items() if not name.startswith(("VAXPULSE_", "COMPOSE_"))}
    for container in containers:
        shown = json.dumps(container)
        yield from (
            f"docker inspect {container['Name']} shows {name}"
            for name, value in hidden.items()
            if value in shown
        )
        if not container["Config"]["User"] and not container["Config"]["Image"].startswith(OFFICIAL):
            yield f"{container['Name']} runs as root"
    for image in sorted({container["Config"]["Image"] for container in containers}):
        shown = docker.docker("history", "--no-trunc", "--format", "{{json .}}", image) + docker.docker(
            "image", "inspect", image
        )
        yield from (
            f"the history of {image} shows {name}" for name, value in hidden.items() if value in shown
        )


def logins(urls: dict[str, str], values: dict[str, str]) -> Iterator[str]:
    """Yield the pages that answer somebody who has not logged in, or do not answer somebody who has."""
    wrong = basic(settings.ADMIN, "wrong")
    for url, headers, expected in (
        (f"{urls['airflow']}/api/v2/dags", {}, 401),
        (f"{urls['airflow']}/vaxpulse/reports/explore_tweets/any", {}, 401),
        (f"{urls['mlflow']}/api/2.0/mlflow/experiments/search?max_results=1", {}, 401),
        (f"{urls['mlflow']}/api/2.0/mlflow/experiments/search?max_results=1", wrong, 401),
        (f"{urls['mlflow']}/api/2.0/mlflow-artifacts/artifacts", {}, 401),
        (f"{urls['mlflow']}/", {}, 401),
        (
            f"{urls['mlflow']}/api/2.0/mlflow/experiments/search?max_results=1",
            basic(settings.ADMIN, values["MLFLOW_PASSWORD"]),
            200,
        ),
    ):
        status, _ = request("GET", url, headers=headers)
        if status != expected:
            yield f"{url} answers {status}, not {expected}"
    status, _ = request(
        "POST", f"{urls['airflow']}/auth/token", {"username": settings.ADMIN, "password": "wrong"}
    )
    if status != 401:
        yield f"Airflow answers {status} to a wrong password"


def viewer(airflow: str, values: dict[str, str]) -> Iterator[str]:
    """Yield what a user with the role Viewer can do and must not, or cannot and must; the user is made for it and removed."""
    password = secrets.token_urlsafe(24)
    admin = airflow_login(airflow, settings.ADMIN, values["AIRFLOW_PASSWORD"])
    user = {
        "username": VIEWER,
        "password": password,
        "first_name": "smoke",
        "last_name": "viewer",
        "email": f"{VIEWER}@localhost",
        "roles": [{"name": "Viewer"}],
    }
    request("DELETE", f"{airflow}/auth/fab/v1/users/{VIEWER}", headers=admin)
    status, body = request("POST", f"{airflow}/auth/fab/v1/users", user, admin)
    if status not in (200, 201):
        yield f"Airflow answers {status} when the admin makes a user: {body}"
        return
    try:
        asks = airflow_login(airflow, VIEWER, password)
        for method, path, content, expected in (
            ("GET", "/api/v2/dags", None, 200),
            ("POST", "/api/v2/dags/clean_tweets/dagRuns", {"logical_date": None}, 403),
            ("PATCH", "/api/v2/dags/clean_tweets?update_mask=is_paused", {"is_paused": True}, 403),
            ("GET", "/auth/fab/v1/users", None, 403),
        ):
            status, _ = request(method, airflow + path, content, asks)
            if status != expected:
                yield f"a Viewer gets {status}, not {expected}, for {method} {path}"
    finally:
        request("DELETE", f"{airflow}/auth/fab/v1/users/{VIEWER}", headers=admin)


def ports(containers: list[dict[str, Any]], values: dict[str, str]) -> Iterator[str]:
    """Yield the ports that are published and should not be."""
    named = {url.rpartition(":")[2] for url in settings.addresses(values).values()}
    for container in containers:
        for binding in (
            binding
            for bindings in container["NetworkSettings"]["Ports"].values()
            for binding in bindings or []
        ):
            if binding["HostIp"] != "127.0.0.1" or binding["HostPort"] not in named:
                yield f"{container['Name']} publishes {binding['HostIp']}:{binding['HostPort']}"
