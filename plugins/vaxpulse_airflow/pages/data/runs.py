"""Runs of DAGs that a user may see: failed, running, waiting, and the latest one that checked services."""

from datetime import datetime
from typing import Any
from urllib.parse import quote

from monitoring.problems import (
    CHECKED,
    ENDED,
    FAILED_RUN_TIME,
    MAX_FAILED_RUN_TIME,
    WATCHING_DAG,
    WATCHING_TASK,
    read_time,
    run_link,
)
from vaxpulse_airflow.pages.data.airflow_client import AirflowApi

MAX_RUNS = 100
# DAGs whose runs write rows of `dumps`.
DUMP_DAGS = ("ingest_tweets", "review_dump", "reopen_dump", "retract_dump", "erase_tweets")
MAX_RUNNING = 8
ALL_RUNS = "/api/v2/dags/~/dagRuns"
Run = dict[str, Any]


def find_failed_runs(airflow: AirflowApi, now: datetime) -> list[Run]:
    """Return the latest failed run of each DAG if it ended within a day, or if no later run has succeeded."""
    query = {
        "state": "failed",
        "end_date_gte": (now - MAX_FAILED_RUN_TIME).isoformat(),
        "order_by": "-end_date",
        "limit": MAX_RUNS,
    }
    failed = airflow.get(ALL_RUNS, query)["dag_runs"]
    dags_with_failures = {run["dag_id"] for run in failed}
    if len(failed) == MAX_RUNS:  # failures of other DAGs may be missing
        for dag in airflow.get("/api/v2/dags", {"limit": MAX_RUNS})["dags"]:
            if dag["dag_id"] not in dags_with_failures:
                failed += airflow.get(_runs_path(dag["dag_id"]), query | {"limit": 1})["dag_runs"]
    latest: dict[str, Run] = {}
    for run in failed:
        latest.setdefault(run["dag_id"], run)
    found = [_describe(run) | {"ended": read_time(run["end_date"])} for run in latest.values()]
    return [
        run
        for run in found
        if now - run["ended"] <= FAILED_RUN_TIME or not _has_succeeded(airflow, run["dag_id"], run["ended"])
    ]


def _has_succeeded(airflow: AirflowApi, dag_id: str, since: datetime) -> bool:
    query = {"state": "success", "end_date_gte": since.isoformat(), "order_by": "-end_date", "limit": 1}
    return bool(airflow.get(_runs_path(dag_id), query)["dag_runs"])


def _runs_path(dag_id: str) -> str:
    return f"/api/v2/dags/{dag_id}/dagRuns"


def find_running(airflow: AirflowApi, now: datetime) -> list[Run]:
    """Return the running and queued runs, with the number of their tasks and of those that have ended."""
    query = {"state": ["running", "queued"], "order_by": "-start_date", "limit": MAX_RUNNING * 3}
    listed = airflow.get(ALL_RUNS, query)["dag_runs"]
    found = []
    for run in [each for each in listed if each["dag_id"] != WATCHING_DAG][:MAX_RUNNING]:
        path = f"/api/v2/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances"
        tasks = airflow.get(path, {"limit": MAX_RUNS})["task_instances"] if run["state"] == "running" else []
        started = read_time(run["start_date"]) if run["start_date"] else None
        found.append(
            _describe(run)
            | {
                "state": run["state"],
                "started": started,
                "tasks": len(tasks),
                "ended_tasks": sum(task["state"] in ENDED for task in tasks),
                "task": next((task["task_id"] for task in tasks if task["state"] == "running"), None),
            }
        )
    return found


def find_waiting(airflow: AirflowApi, now: datetime) -> list[Run]:
    """Return the tasks that wait for a decision of a user. Held dumps have a page of their own."""
    path = "/api/v2/dags/~/dagRuns/~/hitlDetails"
    listed = airflow.get(path, {"response_received": "false", "limit": MAX_RUNS})["hitl_details"]
    return [
        {
            "dag_id": detail["task_instance"]["dag_id"],
            "subject": detail["subject"],
            "since": read_time(detail["created_at"]),
            "link": run_link("", detail["task_instance"]["dag_id"], detail["task_instance"]["dag_run_id"]),
        }
        for detail in listed
        if detail["task_instance"]["state"] not in ENDED
        and detail["task_instance"]["dag_id"] != "review_dump"
    ]


def find_alerts(airflow: AirflowApi, now: datetime) -> list[Run]:
    """Return the latest run of watch_platform with the problems of services and disks that it has recorded.

    The list is empty before the first run.
    """
    runs = f"/api/v2/dags/{WATCHING_DAG}/dagRuns"
    query = {"state": ["success", "failed"], "order_by": "-end_date", "limit": 1}
    found = []
    for run in airflow.get(runs, query)["dag_runs"]:
        path = (
            f"{runs}/{quote(run['dag_run_id'], safe='')}/taskInstances/{WATCHING_TASK}/xcomEntries/{CHECKED}"
        )
        found.append(_describe(run) | {"ended": read_time(run["end_date"])} | airflow.get(path, {})["value"])
    return found


def find_dag_of_run(airflow: AirflowApi, run_id: str) -> str | None:
    """Return the DAG of a run that has written a row of `dumps`, or None if there is no such run."""
    listed = airflow.get(ALL_RUNS, {"run_id_pattern": run_id, "limit": MAX_RUNS})["dag_runs"]
    found = (run["dag_id"] for run in listed if run["dag_run_id"] == run_id)
    return next((dag_id for dag_id in found if dag_id in DUMP_DAGS), None)


def _describe(run: Run) -> Run:
    return {"dag_id": run["dag_id"], "link": run_link("", run["dag_id"], run["dag_run_id"])}
