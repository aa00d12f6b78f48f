"""Client of Airflow's REST API, with the calls that `make` needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import requests

from deploy.deployment import Deployment
from deploy.embedded.settings import AIRFLOW_USER

REVIEW_DAG = "review_dump"  # its runs wait for a person
DAG_IDS = (
    "ingest_tweets",
    REVIEW_DAG,
    "retract_dump",
    "clean_tweets",
    "explore_tweets",
    "train_classifiers",
    "tune_classifier",
    "cross_validate",
    "score_tweets",
    "maintain_tables",
)
TIMEOUT_SECONDS = 30


class AirflowApi:
    """A session of Airflow's admin user."""

    def __init__(self, settings: Deployment) -> None:
        """Log in with the generated password."""
        self.url = settings.url("airflow")
        self.session = requests.Session()
        self.session.trust_env = False  # a proxy has no business with loopback
        login = {"username": AIRFLOW_USER, "password": settings.secrets["airflow_password"]}
        token = self.call("POST", "/auth/token", json=login)["access_token"]
        self.session.headers["Authorization"] = f"Bearer {token}"

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        """Return the decoded JSON response; raise requests.HTTPError with Airflow's message for an error status."""
        answer = self.session.request(method, self.url + path, timeout=TIMEOUT_SECONDS, **arguments)
        if not answer.ok:
            raise requests.HTTPError(
                f"Airflow answers {answer.status_code} to {method} {path}: {answer.text[:500]}",
                response=answer,
            )
        return answer.json()

    @property
    def required_actions_url(self) -> str:
        """Return the page that lists what waits for a person's decision."""
        return f"{self.url}/required_actions?response_received=false"

    def known_dags(self) -> set[str]:
        """Return the ids of the DAGs that Airflow has read from their files."""
        return {dag["dag_id"] for dag in self.call("GET", "/api/v2/dags?limit=100")["dags"]}

    def import_errors(self) -> list[str]:
        """Return what is wrong with DAG files."""
        errors = self.call("GET", "/api/v2/importErrors")["import_errors"]
        return [f"{error['filename']}: {error['stack_trace'].strip().splitlines()[-1]}" for error in errors]

    def import_pools(self, file: Path) -> None:
        """Make the pools of a file as `airflow pools import` reads it; one that exists gets the file's slots."""
        pools = [{"name": name, **pool} for name, pool in json.loads(file.read_text()).items()]
        create = {"action": "create", "action_on_existence": "overwrite", "entities": pools}
        if errors := self.call("PATCH", "/api/v2/pools", json={"actions": [create]})["create"]["errors"]:
            raise requests.HTTPError(f"Airflow cannot make the pools of {file}: {errors}")

    def paused_dags(self) -> set[str]:
        """Return the ids of the DAGs that somebody has paused."""
        return {dag["dag_id"] for dag in self.call("GET", "/api/v2/dags?paused=true&limit=100")["dags"]}

    def pause(self, dag_id: str, *, paused: bool) -> None:
        """Pause or unpause a DAG."""
        self.call("PATCH", f"/api/v2/dags/{dag_id}?update_mask=is_paused", json={"is_paused": paused})

    def trigger(self, dag_id: str, params: dict[str, Any]) -> str:
        """Start a run and return its id."""
        return str(
            self.call("POST", f"/api/v2/dags/{dag_id}/dagRuns", json={"logical_date": None, "conf": params})[
                "dag_run_id"
            ]
        )

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

    def dags_after_tasks(self, dag_id: str) -> dict[str, set[str]]:
        """Return, for each task of a DAG that changes Assets, the DAGs that then run: those scheduled on them and not paused."""
        found: dict[str, set[str]] = {}
        paused = self.paused_dags()
        for asset in self.call("GET", "/api/v2/assets", params={"dag_ids": dag_id, "limit": 100})["assets"]:
            for task in asset["producing_tasks"]:
                if task["dag_id"] == dag_id:
                    found.setdefault(task["task_id"], set()).update(
                        {dag["dag_id"] for dag in asset["scheduled_dags"]} - paused
                    )
        return found

    def first_asset_run(self, dag_id: str, since: str) -> str | None:
        """Return the id of the first run of a DAG that an Asset's change caused at `since` or later, None while there is none."""
        query: dict[str, Any] = {
            "run_type": "asset_triggered",
            "run_after_gte": since,
            "order_by": "run_after",
            "limit": 1,
        }
        runs = self.call("GET", f"/api/v2/dags/{dag_id}/dagRuns", params=query)["dag_runs"]
        return str(runs[0]["dag_run_id"]) if runs else None

    def unfinished_runs(self, dag_id: str) -> list[str]:
        """Return the ids of the runs of a DAG that are queued or running, the oldest first."""
        query: dict[str, Any] = {"state": ["queued", "running"], "order_by": "run_after", "limit": 100}
        return [
            run["dag_run_id"]
            for run in self.call("GET", f"/api/v2/dags/{dag_id}/dagRuns", params=query)["dag_runs"]
        ]

    def log_lines(self, dag_id: str, run_id: str, task: dict[str, Any]) -> list[str]:
        """Return what a task has written so far, line by line."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task['task_id']}/logs/{max(task['try_number'], 1)}?map_index={task['map_index']}"
        content = self.call("GET", path)["content"]
        return [line["event"] if isinstance(line, dict) else str(line) for line in content]
