"""Requests to the stack's published pages, with the standard library alone."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from base64 import b64encode
from typing import Any

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy has no business with loopback
TIMEOUT_SECONDS = 60


def request(
    method: str, url: str, content: Any = None, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    """Return the status of an answer and its decoded JSON, None when it is none.

    Raises:
        OSError: nobody answers.
    """
    data = None if content is None else json.dumps(content).encode()
    asked = urllib.request.Request(
        url, data, {"Content-Type": "application/json", **(headers or {})}, method=method
    )
    try:
        with OPENER.open(asked, timeout=TIMEOUT_SECONDS) as answer:
            status, body = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, body = error.code, error.read()
    try:
        return status, json.loads(body)
    except ValueError:
        return status, None


def basic(user: str, password: str) -> dict[str, str]:
    """Return the header of HTTP's basic authentication."""
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


def airflow_login(airflow: str, user: str, password: str) -> dict[str, str]:
    """Return the header of somebody who has logged in to Airflow."""
    status, body = request("POST", f"{airflow}/auth/token", {"username": user, "password": password})
    if status != 201:
        raise OSError(f"Airflow answers {status} to the login of {user}")
    return {"Authorization": f"Bearer {body['access_token']}"}
