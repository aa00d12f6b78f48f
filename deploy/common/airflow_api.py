"""Client of Airflow's REST API with the calls that the deployments need."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from deploy.common.deployment import ADMIN, Deployment
from deploy.common.errors import CommandError
from deploy.common.steps import wait_until

REVIEW_DAG = "review_dump"  # its runs wait for a person
DAG_IDS = (
    "ingest_tweets",
    REVIEW_DAG,
    "retract_dump",
    "reopen_dump",
    "withdraw_mapping",
    "clean_tweets",
    "explore_tweets",
    "train_classifiers",
    "tune_classifier",
    "cross_validate",
    "score_tweets",
    "maintain_tables",
    "watch_platform",
    "apply_retention",
    "erase_tweets",
)
TIMEOUT_SECONDS = 30
AIRFLOW_APPLICATION = '<div id="root"'  # ui/dist/index.html
RETRIES = 11


class AirflowApi:
    """A session of Airflow's administrator."""

    def __init__(self, deployment: Deployment) -> None:
        """Log in with the generated password."""
        self.url = deployment.url("airflow")
        self.session = requests.Session()
        self.session.trust_env = False  # no proxy for internal addresses
        login = {"username": ADMIN, "password": deployment.secrets["airflow_password"]}
        token = self.call("POST", "/auth/token", json=login)["access_token"]
        self.session.headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str, query: Mapping[str, Any]) -> Any:
        """Return the decoded JSON response to a GET, as `monitoring` reads from Airflow."""
        return self.call("GET", path, params=query)

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        """Return the decoded JSON response.

        Raises:
            requests.HTTPError: the response has an error status. The message contains Airflow's explanation.
        """
        response = self.session.request(method, self.url + path, timeout=TIMEOUT_SECONDS, **arguments)
        if not response.ok:
            raise requests.HTTPError(
                f"Airflow answered {response.status_code} to {method} {path}: {response.text[:500]}",
                response=response,
            )
        return response.json()

    def repeat_reads(self) -> None:
        """From now on repeat a read for about two minutes if Airflow refuses it or answers with 5xx.

        For commands that follow a run: a service that died is started again meanwhile.
        """
        retry = Retry(
            total=RETRIES,
            backoff_factor=0.5,
            backoff_max=15,
            status_forcelist=(500, 502, 503, 504),
            allowed_methods={"GET"},
            raise_on_status=False,
        )
        self.session.mount(self.url, HTTPAdapter(max_retries=retry))

    @property
    def required_actions_url(self) -> str:
        """Return the URL of the page that lists the decisions that runs wait for."""
        return f"{self.url}/required_actions?response_received=false"

    def wait_for_dags(self, seconds: float) -> None:
        """Wait until Airflow has parsed all DAG files.

        Raises:
            CommandError: a DAG file has an error, or the time is over.
        """

        def all_parsed() -> bool:
            if errors := self.call("GET", "/api/v2/importErrors")["import_errors"]:
                last_line = errors[0]["stack_trace"].strip().splitlines()[-1]
                raise CommandError(f"Airflow cannot parse a DAG: {errors[0]['filename']}: {last_line}")
            dags = self.call("GET", "/api/v2/dags?limit=100")["dags"]
            return {dag["dag_id"] for dag in dags}.issuperset(DAG_IDS)

        message = "Airflow has not parsed all DAGs: see the log of the service airflow-dag-processor"
        wait_until(all_parsed, seconds, message)

    def import_pools(self, file: Path) -> None:
        """Create the pools in a file for `airflow pools import`. Existing pools get the slots of the file."""
        pools = [{"name": name, **pool} for name, pool in json.loads(file.read_text()).items()]
        create = {"action": "create", "action_on_existence": "overwrite", "entities": pools}
        if errors := self.call("PATCH", "/api/v2/pools", json={"actions": [create]})["create"]["errors"]:
            raise requests.HTTPError(f"Airflow cannot create the pools of {file}: {errors}")

    def paused_dags(self) -> set[str]:
        """Return the ids of the paused DAGs."""
        return {dag["dag_id"] for dag in self.call("GET", "/api/v2/dags?paused=true&limit=100")["dags"]}

    def pause(self, dag_id: str, *, paused: bool) -> None:
        """Pause or unpause a DAG."""
        self.call("PATCH", f"/api/v2/dags/{dag_id}?update_mask=is_paused", json={"is_paused": paused})

    def trigger(self, dag_id: str, params: dict[str, Any]) -> str:
        """Start a run and return its id."""
        body = {"logical_date": None, "conf": params}
        return str(self.call("POST", f"/api/v2/dags/{dag_id}/dagRuns", json=body)["dag_run_id"])

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """Return a run: state, start_date, end_date, ..."""
        return dict(self.call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}"))

    def last_run(self, dag_id: str) -> dict[str, Any] | None:
        """Return the newest run of a DAG, or None."""
        runs = self.call("GET", f"/api/v2/dags/{dag_id}/dagRuns?limit=1&order_by=-run_after")["dag_runs"]
        return dict(runs[0]) if runs else None

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the task instances of a run, ordered by start time. Tasks that did not start are last."""
        found = self.call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
        return sorted(found, key=lambda task: task["start_date"] or "9")

    def dags_after_tasks(self, dag_id: str) -> dict[str, set[str]]:
        """Return, for each task that updates Assets, the unpaused DAGs that are scheduled on these Assets."""
        found: dict[str, set[str]] = {}
        paused = self.paused_dags()
        for asset in self.call("GET", "/api/v2/assets", params={"dag_ids": dag_id, "limit": 100})["assets"]:
            scheduled = {dag["dag_id"] for dag in asset["scheduled_dags"]} - paused
            for task in asset["producing_tasks"]:
                if task["dag_id"] == dag_id:
                    found.setdefault(task["task_id"], set()).update(scheduled)
        return found

    def first_asset_run(self, dag_id: str, since: str) -> str | None:
        """Return the id of the first run that an Asset update triggered at `since` or later, or None."""
        query: dict[str, Any] = {"run_type": "asset_triggered", "run_after_gte": since}
        query |= {"order_by": "run_after", "limit": 1}
        runs = self.call("GET", f"/api/v2/dags/{dag_id}/dagRuns", params=query)["dag_runs"]
        return str(runs[0]["dag_run_id"]) if runs else None

    def run_with_success(
        self, dag_id: str, task_id: str, *, since: str | None = None, newest: bool = False
    ) -> str | None:
        """Return the id of the first or the newest run in which a task succeeded, or None.

        Args:
            dag_id: DAG.
            task_id: a task that is not mapped.
            since: only runs in which the task started at this time or later (ISO 8601 with zone).
            newest: return the newest run instead of the first.
        """
        query = {"task_id": task_id, "state": "success", "start_date_gte": since, "limit": 1}
        query |= {"order_by": "-start_date" if newest else "start_date"}
        path = f"/api/v2/dags/{dag_id}/dagRuns/~/taskInstances"
        tasks = self.call("GET", path, params=query)["task_instances"]
        return str(tasks[0]["dag_run_id"]) if tasks else None

    def has_page(self, path: str) -> bool:
        """Return whether a plugin serves a page. Airflow shows its own application at unknown paths."""
        response = self.session.get(self.url + path, timeout=TIMEOUT_SECONDS)
        return response.ok and AIRFLOW_APPLICATION not in response.text

    def unfinished_runs(self, dag_id: str) -> list[str]:
        """Return the ids of the queued and running runs of a DAG, oldest first."""
        query: dict[str, Any] = {"state": ["queued", "running"], "order_by": "run_after", "limit": 100}
        runs = self.call("GET", f"/api/v2/dags/{dag_id}/dagRuns", params=query)["dag_runs"]
        return [run["dag_run_id"] for run in runs]

    def log_lines(self, dag_id: str, run_id: str, task: dict[str, Any]) -> list[str]:
        """Return the log of a task's latest try as lines."""
        instance = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task['task_id']}"
        path = f"{instance}/logs/{max(task['try_number'], 1)}?map_index={task['map_index']}"
        content = self.call("GET", path)["content"]
        return [line["event"] if isinstance(line, dict) else str(line) for line in content]
