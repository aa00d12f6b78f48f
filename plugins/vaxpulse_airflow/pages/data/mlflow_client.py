"""The registered model in MLflow, through its REST API. The page must not wait long if MLflow is down."""

import os
from typing import Any

import requests

from contracts.mlflow_names import REGISTERED_MODEL

TIMEOUT_SECONDS = 3


class MlflowError(Exception):
    """MLflow has not answered a request. The message is the reason."""


class Mlflow:
    """The server that MLFLOW_TRACKING_URI names. The login is in the variables of MLflow's own client."""

    def read_version(self, version: str) -> dict[str, Any]:
        """Return a version of the registered model.

        Raises:
            MlflowError: MLflow does not answer or does not have it.
        """
        found = self._get("model-versions/get", {"name": REGISTERED_MODEL, "version": version})
        model_version: dict[str, Any] = found["model_version"]
        return model_version

    def read_run(self, run_id: str) -> dict[str, Any]:
        """Return a run: experiment, status, tags and params.

        Raises:
            MlflowError: MLflow does not answer or does not have it.
        """
        run = self._get("runs/get", {"run_id": run_id})["run"]
        data = run.get("data", {})
        return {
            "experiment": run["info"]["experiment_id"],
            "tags": {tag["key"]: tag["value"] for tag in data.get("tags", [])},
            "params": {param["key"]: param["value"] for param in data.get("params", [])},
        }

    def _get(self, path: str, query: dict[str, str]) -> Any:
        address = os.environ.get("MLFLOW_TRACKING_URI", "").rstrip("/")
        if not address.startswith(("http://", "https://")):
            raise MlflowError("the API server has no address of MLflow (MLFLOW_TRACKING_URI)")
        user = os.environ.get("MLFLOW_TRACKING_USERNAME")
        login = (user, os.environ.get("MLFLOW_TRACKING_PASSWORD", "")) if user else None
        with requests.Session() as session:
            session.trust_env = False  # no proxy for internal addresses
            try:
                response = session.get(
                    f"{address}/api/2.0/mlflow/{path}", params=query, auth=login, timeout=TIMEOUT_SECONDS
                )
            except requests.RequestException as error:
                raise MlflowError(f"it does not answer ({type(error).__name__})") from None
        if not response.ok:
            raise MlflowError(f"it responds with status {response.status_code}")
        try:
            return response.json()
        except ValueError:
            raise MlflowError("its response is not JSON") from None
