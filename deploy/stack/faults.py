"""Kill one service after the other while a dump goes through the pipeline: the runs must finish, and the tables must be the same.

The kills are those of `docker compose kill`. Docker takes such a kill for the operator's wish and starts nothing again: a DataNode and a Spark
worker have a second one that takes over; the scheduler and the Celery worker are started again after ABSENT_SECONDS.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.stack import settings
from deploy.stack.docker import CLIENT, REPOSITORY, StackError, compose, docker
from deploy.stack.http import airflow_login, request

ABSENT_SECONDS = 20
BEGIN_SECONDS = 600  # until a run of a DAG has a running task


@dataclass(frozen=True)
class Fault:
    """A service that is killed while a task of a DAG runs."""

    dag_id: str
    service: str
    one_of_two: bool  # the other one takes over; it is started again at the end


# In the order of the pipeline.
FAULTS = (
    Fault("ingest_tweets", "datanode", one_of_two=True),
    Fault("clean_tweets", "spark-worker", one_of_two=True),
    Fault("clean_tweets", "airflow-scheduler", one_of_two=False),
    Fault("explore_tweets", "airflow-worker", one_of_two=False),
)


def inject(dump: Path, values: dict[str, str]) -> None:
    """Land a dump, kill, wait for the end; take the dump back, land it undisturbed, and compare.

    Args:
        dump: a file that the stack does not know.
        values: the variables of .env.

    Raises:
        StackError: a run failed, or the tables differ.
    """
    airflow = settings.addresses(values)["airflow"]
    sha256 = hashlib.sha256(dump.read_bytes()).hexdigest()
    landing = ["docker", "compose", *CLIENT, "land", "--without-training", dump.name]
    since = time.time()
    with dump.open("rb") as content, subprocess.Popen(landing, cwd=REPOSITORY, stdin=content) as landed:
        try:
            for fault in FAULTS:
                await_running(airflow, values, fault.dag_id, since, landed)
                kill(fault)
        except BaseException:
            landed.terminate()
            raise
        if landed.wait():
            raise StackError("the disturbed run failed: the lines above say why")
    compose("up", "--detach", "--wait", "--no-build", "--no-recreate")
    disturbed = tables(sha256)
    compose(*CLIENT, "retract", sha256)
    with dump.open("rb") as content:
        compose(*CLIENT, "land", "--without-training", dump.name, stdin=content)
    undisturbed = tables(sha256)
    if disturbed != undisturbed:
        raise StackError(
            f"the tables differ: {json.dumps(disturbed)} after the kills, {json.dumps(undisturbed)} without"
        )
    print(
        f"the tables are the same with and without the kills of {', '.join(fault.service for fault in FAULTS)}"
    )


def kill(fault: Fault) -> None:
    """Kill the first container of a service, and start it again unless there is another."""
    container = docker("compose", "ps", "--quiet", fault.service).split()[0]
    print(f"    kill {fault.service} while {fault.dag_id} runs", flush=True)
    docker("kill", container)
    if not fault.one_of_two:
        time.sleep(ABSENT_SECONDS)
        docker("start", container)
        print(f"    started {fault.service} again", flush=True)


def await_running(
    airflow: str, values: dict[str, str], dag_id: str, since: float, landing: subprocess.Popen[bytes]
) -> None:
    """Wait until a task of a DAG runs that began after `since` (seconds since 1970); raise StackError when none does or `landing` has ended."""
    asks = airflow_login(airflow, settings.ADMIN, values["AIRFLOW_PASSWORD"])
    begun = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(since))
    query = f"/api/v2/dags/{dag_id}/dagRuns/~/taskInstances?state=running&start_date_gte={begun}&limit=1"
    deadline = time.monotonic() + BEGIN_SECONDS
    while time.monotonic() < deadline and landing.poll() is None:
        status, found = request("GET", airflow + query, headers=asks)
        if status == 200 and found["task_instances"]:
            return
        time.sleep(1)
    raise StackError(
        f"no task of {dag_id} ran: the lines above say why, or it took longer than {BEGIN_SECONDS} s"
    )


def tables(sha256: str) -> dict[str, Any]:
    """Return what the tables hold of a dump."""
    found: dict[str, Any] = json.loads(docker("compose", *CLIENT, "tables", sha256))
    return found
