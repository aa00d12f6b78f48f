"""Read-only access to Airflow's REST API from a task. Tasks have no access to the metadata database."""

from collections.abc import Callable, Mapping
from typing import Any

import requests
from airflow.sdk import BaseHook

CONNECTION = "vaxpulse_api"  # a user with the role Viewer
TIMEOUT_SECONDS = 30


def open_api(url: str) -> Callable[[str, Mapping[str, Any]], Any]:
    """Log in, and return a function that returns the decoded response to a GET of a path with a query.

    Raises:
        requests.RequestException: Airflow does not respond, or refuses the login.
    """
    user = BaseHook.get_connection(CONNECTION)
    session = requests.Session()
    session.trust_env = False  # no proxy for internal addresses
    login = {"username": user.login, "password": user.password}

    def call(method: str, path: str, **arguments: Any) -> Any:
        response = session.request(method, url + path, timeout=TIMEOUT_SECONDS, **arguments)
        response.raise_for_status()
        return response.json()

    token = call("POST", "/auth/token", json=login)["access_token"]
    session.headers["Authorization"] = f"Bearer {token}"
    return lambda path, query: call("GET", path, params=query)
