"""Kill services while a dump is loaded: the runs must succeed, with the same tables as without the kills.

Docker does not restart a container after `docker kill`. A second DataNode and a second Spark worker take
over. The scheduler and the Celery worker are started again after ABSENT_SECONDS.
"""

import hashlib
import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.common.checkout import REPOSITORY
from deploy.common.deployment import ADMIN
from deploy.common.errors import CommandError
from deploy.common.steps import wait_until
from deploy.stack import settings
from deploy.stack.docker import compose, docker
from tests.stack_acceptance.http import airflow_login, request

# Arguments of `docker compose` that run a command of `pipeline` in the stack's network.
PIPELINE = ("run", "--rm", "--no-TTY", "client", "python", "-m", "tests.stack_acceptance.pipeline")
ABSENT_SECONDS = 20
BEGIN_SECONDS = 600  # until a DAG has a running task


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
    """Load a dump while services are killed, retract and reopen it without faults, and compare the tables.

    Args:
        dump: a file that was never loaded.
        values: the variables of .env.

    Raises:
        CommandError: a run failed, or the tables differ.
    """
    airflow = settings.addresses(values)["airflow"]
    sha256 = hashlib.sha256(dump.read_bytes()).hexdigest()
    landing = ["docker", "compose", *PIPELINE, "land", "--without-training", dump.name]
    since = time.time()
    with dump.open("rb") as content, subprocess.Popen(landing, cwd=REPOSITORY, stdin=content) as landed:
        try:
            for fault in FAULTS:
                wait_for_task(airflow, values, fault.dag_id, since, landed)
                kill(fault)
        except BaseException:
            landed.terminate()
            raise
        if landed.wait():
            raise CommandError("a run failed after a kill: see the lines above")
    compose("up", "--detach", "--wait", "--no-build", "--no-recreate")
    disturbed = describe_tables(sha256)
    compose(*PIPELINE, "reload", sha256)
    undisturbed = describe_tables(sha256)
    if disturbed != undisturbed:
        raise CommandError(
            f"the tables differ: {json.dumps(disturbed)} with kills, {json.dumps(undisturbed)} without"
        )
    services = ", ".join(fault.service for fault in FAULTS)
    print(f"the tables are the same with and without kills of {services}")


def kill(fault: Fault) -> None:
    """Kill the first container of a service, and start it again if it is the only one."""
    container = docker("compose", "ps", "--quiet", fault.service).split()[0]
    print(f"    kill {fault.service} while {fault.dag_id} runs", flush=True)
    docker("kill", container)
    if not fault.one_of_two:
        time.sleep(ABSENT_SECONDS)
        docker("start", container)
        print(f"    started {fault.service} again", flush=True)


def wait_for_task(
    airflow: str, values: dict[str, str], dag_id: str, since: float, landing: subprocess.Popen[bytes]
) -> None:
    """Wait for a running task of a DAG that started after `since` (seconds since 1970).

    Raises:
        CommandError: `landing` has ended before, or no task ran in BEGIN_SECONDS.
    """
    headers = airflow_login(airflow, ADMIN, values["AIRFLOW_PASSWORD"])
    start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(since))
    query = f"/api/v2/dags/{dag_id}/dagRuns/~/taskInstances?state=running&start_date_gte={start}&limit=1"

    def is_running() -> bool:
        if landing.poll() is not None:
            raise CommandError(f"the load ended before a task of {dag_id} ran: see the lines above")
        status, found = request("GET", airflow + query, headers=headers)
        return status == 200 and bool(found["task_instances"])

    wait_until(is_running, BEGIN_SECONDS, f"no task of {dag_id} ran", pause_seconds=1)


def describe_tables(sha256: str) -> dict[str, Any]:
    """Return rows, split and digest of a dump in each table."""
    found: dict[str, Any] = json.loads(docker("compose", *PIPELINE, "tables", sha256))
    return found
