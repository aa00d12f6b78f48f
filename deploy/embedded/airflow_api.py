"""What `make` asks of Airflow, by its REST API."""

from __future__ import annotations

from typing import Any

import requests

from deploy.embedded.settings import AIRFLOW_USER, Settings

DAG_IDS = ("ingest_tweets", "clean_tweets", "explore_tweets", "train_classifiers", "maintain_tables")
TIMEOUT_SECONDS = 30


class AirflowApi:
    """A session of the administrator."""

    def __init__(self, settings: Settings) -> None:
        """Log in with the generated password."""
        self.url = settings.url("airflow")
        self.session = requests.Session()
        self.session.trust_env = False  # a proxy has no business with loopback
        login = {"username": AIRFLOW_USER, "password": settings.secrets["airflow_password"]}
        token = self.call("POST", "/auth/token", json=login)["access_token"]
        self.session.headers["Authorization"] = f"Bearer {token}"

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        """Return the decoded answer; raise requests.HTTPError with Airflow's own words when it refuses."""
        answer = self.session.request(method, self.url + path, timeout=TIMEOUT_SECONDS, **arguments)
        if not answer.ok:
            raise requests.HTTPError(f"Airflow answers {answer.status_code} to {method} {path}: {answer.text[:500]}", response=answer)
        return answer.json()

    def known_dags(self) -> set[str]:
        """Return the ids of the DAGs that Airflow has read from their files."""
        return {dag["dag_id"] for dag in self.call("GET", "/api/v2/dags?limit=100")["dags"]}

    def import_errors(self) -> list[str]:
        """Return what is wrong with DAG files."""
        errors = self.call("GET", "/api/v2/importErrors")["import_errors"]
        return [f"{error['filename']}: {error['stack_trace'].strip().splitlines()[-1]}" for error in errors]

    def unpause(self, dag_id: str) -> None:
        """Let a DAG run when it is triggered or due."""
        self.call("PATCH", f"/api/v2/dags/{dag_id}?update_mask=is_paused", json={"is_paused": False})

    def trigger(self, dag_id: str, params: dict[str, Any]) -> str:
        """Start a run and return its id."""
        return str(self.call("POST", f"/api/v2/dags/{dag_id}/dagRuns", json={"logical_date": None, "conf": params})["dag_run_id"])

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """Return one run: state, start_date, end_date, ..."""
        return dict(self.call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}"))

    def last_run(self, dag_id: str) -> dict[str, Any] | None:
        """Return the newest run of a DAG, None when there is none."""
        runs = self.call("GET", f"/api/v2/dags/{dag_id}/dagRuns?limit=1&order_by=-run_after")["dag_runs"]
        return dict(runs[0]) if runs else None

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the task instances of a run in the order in which they started, those that did not at the end."""
        found = self.call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
        return sorted(found, key=lambda task: task["start_date"] or "9")

    def runs_caused_by(self, dag_id: str, run_id: str) -> list[tuple[str, str]]:
        """Return (DAG id, run id) of the runs that were started by the Assets that a run changed."""
        events = self.call("GET", f"/api/v2/assets/events?source_dag_id={dag_id}&source_run_id={requests.utils.quote(run_id)}")[
            "asset_events"
        ]
        return sorted({(caused["dag_id"], caused["run_id"]) for event in events for caused in event["created_dagruns"]})

    def changed_assets(self, dag_id: str, run_id: str) -> set[str]:
        """Return the names of the Assets that a run changed."""
        events = self.call("GET", f"/api/v2/assets/events?source_dag_id={dag_id}&source_run_id={requests.utils.quote(run_id)}")[
            "asset_events"
        ]
        return {event["name"] for event in events}

    def log_lines(self, dag_id: str, run_id: str, task: dict[str, Any]) -> list[str]:
        """Return what a task has written so far, line by line."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task['task_id']}/logs/{max(task['try_number'], 1)}?map_index={task['map_index']}"
        content = self.call("GET", path)["content"]
        return [line["event"] if isinstance(line, dict) else str(line) for line in content]

    def dags_after(self, asset_name: str) -> set[str]:
        """Return the DAGs that run after an Asset."""
        assets = self.call("GET", f"/api/v2/assets?name_pattern={asset_name}")["assets"]
        return {dag["dag_id"] for asset in assets if asset["name"] == asset_name for dag in asset["scheduled_dags"]}
