"""Kill services, Spark drivers and trainers with SIGKILL at random moments of whole runs.

Each run starts a new platform, and takes the same dump to tables, a trained model, a champion and scores.
Afterwards `make run` is repeated and failed tasks are cleared, as a person would. The tables, the split and
the metrics of the model must be those of a run without kills.
"""

import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil
import pytest
import requests

from deploy.common import summary
from deploy.common.steps import wait_until
from deploy.embedded import supervision
from deploy.embedded.guard import leftover_processes
from deploy.embedded.services import SERVICES
from tests.integration.conftest import Platform, new_platform

SEED = int(os.environ.get("VAXPULSE_FAULT_SEED", "1"))
KILLS_OF_EACH = int(os.environ.get("VAXPULSE_FAULT_KILLS", "5"))
KILLS_PER_RUN = 15
MAX_PAUSE_SECONDS = 25
RUN_SECONDS = 1800  # on a busy machine a run with kills took 15 minutes
# A part of the command line of processes that Airflow starts for a task.
TASK_PROCESSES = {"driver": "spark_jobs/", "trainer": "training.train"}
TARGETS = (*(name for name in SERVICES if name != "spark-history"), *TASK_PROCESSES)
QUERIES = {
    "tweets_raw": "SELECT tweet_id, safe_text, label, agreement, dump_sha256 FROM t",
    "quarantine": "SELECT * FROM t",
    "tweets_clean": "SELECT * FROM t",
    # After a kill the first champion, the baseline, may be replaced before it has scored.
    "tweets_scored": "SELECT tweet_id, label, model_version FROM t WHERE model_version = '{champion}'",
}


@dataclass(frozen=True)
class Result:
    """What a run has left: the rows of each table in a fixed order, and the metrics of its models."""

    tables: dict[str, list[str]]
    metrics: list[tuple[str, float, float]]


def read_result(platform: Platform) -> Result:
    champion = (summary.champion(platform.settings) or {"version": "none"})["version"]
    tables = {
        name: sorted(repr(sorted(row.items())) for row in platform.query(name, sql.format(champion=champion)))
        for name, sql in QUERIES.items()
    }
    models = summary.models(platform.settings)
    return Result(tables, [(each["preset"], each["accuracy"], each["rmse"]) for each in models])


def find_processes(platform: Platform, target: str) -> list[psutil.Process]:
    """Return the main process of a service, or the processes of the task that runs now."""
    if target in SERVICES:
        members = leftover_processes(platform.settings, target)
        return [process for process in members if process.pid == os.getsid(process.pid)]
    tasks = leftover_processes(platform.settings, "airflow-scheduler")
    return [each for each in tasks if TASK_PROCESSES[target] in " ".join(command_of(each))]


def command_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def kill(platform: Platform, target: str, is_over: Callable[[], bool]) -> bool:
    """Kill a target as soon as it runs. Return False if the run is over before."""
    while not is_over():
        processes = find_processes(platform, target)
        for process in processes:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        if processes:
            return True
        time.sleep(0.2)
    return False


def run_with_kills(platform: Platform, kills: list[tuple[float, str]]) -> list[str]:
    """Run the dump, and kill each target after a pause. Return the targets that were killed."""
    killed = []
    command = ["make", "--no-print-directory", "run", f"DUMP={platform.dump}"]
    with subprocess.Popen(command, env=platform.environment, stdout=subprocess.DEVNULL) as first:
        wait_until(
            lambda: set(supervision.states(platform.settings).values()) == {"RUNNING"}, 300, "no service runs"
        )
        for pause, target in kills:
            time.sleep(pause)
            if kill(platform, target, lambda: first.poll() is not None and not has_runs(platform, "running")):
                killed.append(target)
        first.wait(RUN_SECONDS)
    return killed


def has_runs(platform: Platform, *states: str) -> bool:
    """Return whether runs have one of these states, or Airflow does not answer."""
    try:
        return bool(find_runs(platform, *states))
    except requests.RequestException:
        return True


def find_runs(platform: Platform, *states: str) -> list[dict[str, Any]]:
    query = "&".join(f"state={state}" for state in states)
    found = platform.api().call("GET", f"/api/v2/dags/~/dagRuns?limit=100&{query}")["dag_runs"]
    return [dict(each) for each in found]


def repair(platform: Platform) -> int:
    """Wait for all runs, and clear the failed tasks as a person would. Return the number of cleared runs."""
    assert platform.make("run", f"DUMP={platform.dump}", check=False).returncode in (0, 2)
    cleared = 0
    for _ in range(3):
        wait_until(lambda: not has_runs(platform, "running", "queued"), RUN_SECONDS, "runs do not end")
        failed = find_runs(platform, "failed")
        if not failed:
            break
        for run in failed:
            body = {"dag_run_id": run["dag_run_id"], "only_failed": True, "dry_run": False}
            platform.api().call("POST", f"/api/v2/dags/{run['dag_id']}/clearTaskInstances", json=body)
            cleared += 1
    return cleared


def draw_runs(seed: int, kills_of_each: int) -> list[list[tuple[float, str]]]:
    """Return the kills of each run: seconds since the kill before, and the target."""
    draw = random.Random(seed)
    targets = list(TARGETS) * kills_of_each
    draw.shuffle(targets)
    return [
        [(draw.uniform(0, MAX_PAUSE_SECONDS), target) for target in targets[start : start + KILLS_PER_RUN]]
        for start in range(0, len(targets), KILLS_PER_RUN)
    ]


@pytest.mark.timeout(7200)
def test_killed_runs_leave_the_tables_and_metrics_of_an_undisturbed_run() -> None:
    with new_platform() as platform:
        platform.make("run", f"DUMP={platform.dump}")
        wait_until(lambda: not has_runs(platform, "running", "queued"), RUN_SECONDS, "runs do not end")
        expected = read_result(platform)
    assert all(expected.tables.values())
    assert [name for name, *_ in expected.metrics] == ["bge-small", "tfidf"]  # the newest first
    killed: Counter[str] = Counter()
    for number, kills in enumerate(draw_runs(SEED, KILLS_OF_EACH), start=1):
        with new_platform() as platform:
            now = run_with_kills(platform, kills)
            killed.update(now)
            cleared = repair(platform)
            print(
                f"run {number}: killed {', '.join(now)}; failed runs that were cleared: {cleared}", flush=True
            )
            found = read_result(platform)
            assert found.tables == expected.tables
            assert found.metrics == [
                (name, pytest.approx(a), pytest.approx(r)) for name, a, r in expected.metrics
            ]
    print(f"seed {SEED}, kills: {dict(killed)}")
    assert killed.keys() == set(TARGETS)
