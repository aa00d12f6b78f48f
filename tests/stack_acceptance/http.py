"""HTTP requests to the stack's published pages, with the standard library only."""

import json
import urllib.error
import urllib.request
from base64 import b64encode
from typing import Any

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy for loopback
TIMEOUT_SECONDS = 60


def request(
    method: str, url: str, content: Any = None, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    """Return the status of a response and its decoded JSON, or None if it is not JSON.

    Raises:
        OSError: there is no response.
    """
    data = None if content is None else json.dumps(content).encode()
    headers = {"Content-Type": "application/json", **(headers or {})}
    try:
        with OPENER.open(
            urllib.request.Request(url, data, headers, method=method), timeout=TIMEOUT_SECONDS
        ) as response:
            status, body = response.status, response.read()
    except urllib.error.HTTPError as error:
        status, body = error.code, error.read()
    try:
        return status, json.loads(body)
    except ValueError:
        return status, None


def basic(user: str, password: str) -> dict[str, str]:
    """Return the header of HTTP basic authentication."""
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


def airflow_login(airflow: str, user: str, password: str) -> dict[str, str]:
    """Log in to Airflow, and return the header of the session."""
    status, body = request("POST", f"{airflow}/auth/token", {"username": user, "password": password})
    if status != 201:
        raise OSError(f"Airflow answered {status} to the login of {user}")
    return {"Authorization": f"Bearer {body['access_token']}"}
