"""Airflow's REST API as the user who has sent a request. Airflow checks permissions and logs changes."""

import os
from collections.abc import Mapping
from typing import Any

import requests
from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN
from fastapi import Request

from monitoring.health import Watched

TIMEOUT_SECONDS = 20


class ApiError(Exception):
    """Airflow has refused a request, or does not answer (status 503)."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


class AirflowApi:
    """The REST API with a user's token.

    Args:
        url: URL of the API server.
        token: token of the user.
    """

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}

    def get(self, path: str, query: Mapping[str, Any]) -> Any:
        """Return the decoded response to a GET."""
        return self._send("GET", path, params=query)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Return the decoded response to a POST."""
        return self._send("POST", path, json=body)

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """Return the decoded response to a PATCH."""
        return self._send("PATCH", path, json=body)

    def _send(self, method: str, path: str, **arguments: Any) -> Any:
        with requests.Session() as session:
            session.trust_env = False  # no proxy for internal addresses
            try:
                response = session.request(
                    method, self._url + path, headers=self._headers, timeout=TIMEOUT_SECONDS, **arguments
                )
            except requests.RequestException as error:
                raise ApiError(503, f"Airflow's API does not answer ({type(error).__name__}).") from error
        if not response.ok:
            raise ApiError(response.status_code, read_detail(response))
        return response.json()


def read_detail(response: requests.Response) -> str:
    """Return the reason in an error response."""
    try:
        detail = response.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return f"Airflow has answered with status {response.status_code}."
    return detail if isinstance(detail, str) else str(detail)


def open_api(request: Request) -> AirflowApi:
    """Return the API with the token of a request."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        token = request.cookies.get(COOKIE_NAME_JWT_TOKEN, "")
    return AirflowApi(Watched.from_json(os.environ["VAXPULSE_WATCHED"]).airflow, token)
