"""The list of current problems of a platform.

`make status`, the DAG `watch_platform` and `make stack-smoke` call `find_problems`. The callers provide the
access to Airflow and to the tables, because they have different credentials.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from contracts.tables import DRIFT, DUMPS, FAILED, HELD, LOADED, Table
from contracts.untrusted_text import mask, mask_names
from monitoring.health import (
    MAX_DISK_USE,
    Watched,
    dead_datanodes,
    find_full_disks,
    find_service_problems,
)

WATCHING_DAG = "watch_platform"
# Its task, and the key of the XCom with the latest problems of services and disks.
WATCHING_TASK, CHECKED = "watch", "services_and_disks"
# Causes of problems.
FAILED_RUN, DUMP, WAITING, DRIFTED, SERVICE, DISK = (
    "failed run",
    "dump",
    "waiting",
    "drift",
    "service",
    "disk",
)
# Key of the problem that DataNodes are lost. Only the NameNode knows it.
DATANODES = "service HDFS DataNodes"
# A failed run is listed for this time, and longer if no later run of its DAG has succeeded.
FAILED_RUN_TIME = timedelta(days=1)
MAX_FAILED_RUN_TIME = timedelta(days=30)
MAX_WAITING_TIME = timedelta(days=1)
DRIFT_TIME = timedelta(days=7)
MAX_RUNS = 50  # of one DAG
ENDED = ("success", "failed", "skipped", "upstream_failed", "removed")

Airflow = Callable[[str, Mapping[str, Any]], Any]  # GET of the REST API: path, query
Query = Callable[[Table, str], list[dict[str, Any]]]  # rows of an SQL query on a table with the name `t`


@dataclass(frozen=True)
class Problem:
    """A problem with its cause. A problem that is found again has the same `key`.

    Attributes:
        cause: FAILED_RUN, DUMP, WAITING, DRIFTED, SERVICE or DISK.
        key: identifies the problem.
        title: the problem, on one line.
        advice: what to do, in a sentence.
        link: URL of the page that shows the problem.
    """

    cause: str
    key: str
    title: str
    advice: str
    link: str


@dataclass(frozen=True)
class Findings:
    """Problems, and the reason for each cause that could not be checked, by cause.

    If only one problem of a cause could not be checked, its key stands for the cause.
    """

    problems: list[Problem]
    unchecked: dict[str, str]

    def describe_services(self) -> dict[str, Any]:
        """Return the problems of services and disks, and why disks were not checked, as JSON."""
        found = [asdict(problem) for problem in self.problems if problem.cause in (SERVICE, DISK)]
        return {"problems": found, "unchecked": self.unchecked.get(DISK)}


def find_problems(watched: Watched, airflow: Airflow, query: Query, pages: str, now: datetime) -> Findings:
    """Return the current problems.

    Args:
        watched: services and disks.
        airflow: reads from Airflow's REST API.
        query: reads from the tables.
        pages: URL of Airflow for links in a browser.
        now: current time with zone.
    """
    services = find_service_problems(watched)
    problems = [service_problem(name, problem, pages) for name, problem in services.items()]
    checks: dict[str, Callable[[], Iterable[Problem]]] = {
        DATANODES: lambda: find_dead_datanodes(watched, pages),
        DISK: lambda: find_disks(watched, pages),
        FAILED_RUN: lambda: find_failed_runs(airflow, pages, now),
        WAITING: lambda: find_waiting(airflow, pages, now),
        DUMP: lambda: find_dumps(query, pages),
        DRIFTED: lambda: find_drift(query, pages, now),
    }
    unchecked: dict[str, str] = {}
    for cause, check in checks.items():
        # The client of the tables retries for minutes if the NameNode does not answer.
        if cause in (DUMP, DRIFTED) and "HDFS" in services:
            unchecked[cause] = f"HDFS {services['HDFS']}"
            continue
        try:
            problems += check()
        except Exception as error:  # one cause that cannot be checked must not hide the others
            unchecked[cause] = f"{type(error).__name__}: {plain(str(error), 200)}"
    return Findings(problems, unchecked)


def service_problem(name: str, problem: str, pages: str) -> Problem:
    """Return the problem of a service."""
    advice = "Read the log of the service (`make logs` or `make stack-logs`)."
    return Problem(SERVICE, f"service {name}", f"{name} {problem}", advice, pages)


def find_dead_datanodes(watched: Watched, pages: str) -> Iterator[Problem]:
    """Yield a problem if the NameNode has lost DataNodes."""
    if problem := dead_datanodes(watched.namenode):
        yield service_problem("HDFS DataNodes", problem, pages)


def find_failed_runs(airflow: Airflow, pages: str, now: datetime) -> Iterator[Problem]:
    """Yield a problem for each failed run. The watching DAG cannot report itself."""
    for dag in airflow("/api/v2/dags", {"limit": 100})["dags"]:
        if dag["dag_id"] != WATCHING_DAG:
            for run in current_failures(airflow, dag["dag_id"], now):
                yield Problem(
                    FAILED_RUN,
                    f"run {run['dag_id']} {run['dag_run_id']} {run['end_date']}",
                    f"A run of {run['dag_id']} failed",
                    "Read the last line of the failed task's log, remove the cause, then clear the task.",
                    run_link(pages, run["dag_id"], run["dag_run_id"]),
                )


def current_failures(airflow: Airflow, dag_id: str, now: datetime) -> list[dict[str, Any]]:
    """Return the failed runs of a DAG that ended recently, and those without a later success."""
    path = f"/api/v2/dags/{dag_id}/dagRuns"
    query = {"order_by": "-end_date", "limit": MAX_RUNS}
    since = {"end_date_gte": (now - MAX_FAILED_RUN_TIME).isoformat()}
    failed = airflow(path, query | since | {"state": "failed"})["dag_runs"]
    recent = [run for run in failed if now - read_time(run["end_date"]) <= FAILED_RUN_TIME]
    if len(recent) < len(failed):
        succeeded = airflow(path, query | {"state": "success", "limit": 1})["dag_runs"]
        latest = read_time(succeeded[0]["end_date"]) if succeeded else datetime.min.replace(tzinfo=UTC)
        return [run for run in failed if run in recent or read_time(run["end_date"]) > latest]
    return recent


def find_waiting(airflow: Airflow, pages: str, now: datetime) -> Iterator[Problem]:
    """Yield a problem for each task that has waited for a user for more than a day."""
    path = "/api/v2/dags/~/dagRuns/~/hitlDetails"
    for detail in airflow(path, {"response_received": "false", "limit": 100})["hitl_details"]:
        task, waited = detail["task_instance"], now - read_time(detail["created_at"])
        if waited > MAX_WAITING_TIME and task["state"] not in ENDED:
            run = f"{task['dag_id']} {task['dag_run_id']}"
            yield Problem(
                WAITING,
                f"waiting {run} {task['task_id']} {task['map_index']} {detail['created_at']}",
                f"{task['dag_id']} waits for a decision since {detail['created_at'][:10]}",
                "Open the page, read the question, and answer it.",
                f"{run_link(pages, task['dag_id'], task['dag_run_id'])}/tasks/{task['task_id']}",
            )


def find_dumps(query: Query, pages: str) -> Iterator[Problem]:
    """Yield a problem for each held and each failed dump."""
    columns = "dump_sha256, source, state, reason, ingested_at, run_id"
    for dump in query(DUMPS, f"SELECT {columns} FROM t WHERE state IN ('{HELD}', '{FAILED}')"):  # noqa: S608
        source, reason = mask_names(dump["source"]), mask(dump["reason"] or "")
        title = f"Dump {plain(source, 80)} is {dump['state']}: {plain(reason, 200)}"
        key = f"dump {dump['dump_sha256']} {dump['state']} {dump['ingested_at']:%Y-%m-%dT%H:%M:%S}"
        if dump["state"] == HELD:
            advice = "Approve or reject the dump under Required Actions."
            link = f"{pages}/required_actions?response_received=false"
        else:
            advice = "Remove the cause, then trigger reopen_dump with the SHA-256 of the dump."
            link = run_link(pages, "ingest_tweets", dump["run_id"])
        yield Problem(DUMP, key, title, f"{advice} SHA-256: {dump['dump_sha256']}.", link)


def find_drift(query: Query, pages: str, now: datetime) -> Iterator[Problem]:
    """Yield a problem for each loaded dump that exceeds a drift limit of the latest model, for a week."""
    sql = f"SELECT dump_sha256 FROM t WHERE state = '{LOADED}'"  # noqa: S608 (constant)
    loaded = {dump["dump_sha256"] for dump in query(DUMPS, sql)}
    columns = "dump_sha256, model_name, model_version, breaches, measured_at"
    rows = query(DRIFT, f"SELECT {columns} FROM t ORDER BY measured_at DESC")  # noqa: S608 (constants)
    for row in rows:
        model = (row["model_name"], row["model_version"])
        is_latest = model == (rows[0]["model_name"], rows[0]["model_version"])
        is_recent = now - row["measured_at"] <= DRIFT_TIME
        if row["breaches"] and is_latest and is_recent and row["dump_sha256"] in loaded:
            yield Problem(
                DRIFTED,
                f"drift {row['dump_sha256']} {' '.join(model)}",
                f"Dump {row['dump_sha256'][:12]} differs from the training data of {' '.join(model)}: "
                + ", ".join(row["breaches"]),
                "Read the tab Report of the latest run. If train_classifiers finds no better model, label "
                "tweets of this dump.",
                f"{pages}/dags/score_tweets",
            )


def find_disks(watched: Watched, pages: str) -> Iterator[Problem]:
    """Yield a problem for each disk that is almost full."""
    for name, share in find_full_disks(watched):
        yield Problem(
            DISK,
            f"disk {name}",
            f"The disk of {name} is {share:.0%} full (limit {MAX_DISK_USE:.0%})",
            "Delete data that is not needed, or enlarge the disk. HDFS and PostgreSQL stop when it is full.",
            pages,
        )


def plain(text: str, length: int) -> str:
    """Return a text of strangers on one line, without characters that a chat or a mail program interprets.

    >>> plain("june <!channel> @ann *now*.csv", 80)
    'june ??channel? ?ann ?now?.csv'
    """
    text = re.sub(r"[^\w .,;:()%+=-]", "?", " ".join(text.split()))
    return text if len(text) <= length else text[: length - 1] + "…"


def run_link(pages: str, dag_id: str, run_id: str) -> str:
    """Return the URL of a run's page."""
    return f"{pages}/dags/{dag_id}/runs/{quote(run_id, safe=':+~')}"


def read_time(text: str) -> datetime:
    """Return a time of Airflow's API."""
    return datetime.fromisoformat(text)
