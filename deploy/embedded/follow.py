"""Follow a run of a DAG, and every run that its Assets start, until all have ended."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deploy.embedded.airflow_api import AirflowApi

POLL_SECONDS = 1.0
TRAINING_STEP = re.compile(r"step \d+/\d+ .*")  # the trainer's progress lines
ENDED = ("success", "failed")
# The scheduler makes the run for a changed Asset in its next loop; a minute is far more than it ever took.
CREATION_SECONDS = 60


class RunFailed(Exception):  # noqa: N818 (it is no error of this program)
    """A DAG run ended red; says which task, its last words, and where the whole log is."""


@dataclass(frozen=True)
class FollowedRun:
    """One run that has ended."""

    dag_id: str
    run_id: str
    tasks: list[dict[str, Any]]
    seconds: float

    @property
    def skipped(self) -> bool:
        """Tell whether the run found nothing to do."""
        return any(task["state"] == "skipped" for task in self.tasks)


def follow(api: AirflowApi, dag_id: str, run_id: str, show: Callable[[str], Callable[..., Any]]) -> list[FollowedRun]:
    """Wait for a run and for all that it causes.

    Args:
        api: Airflow.
        dag_id: the DAG whose run was started.
        run_id: that run.
        show: a context manager factory, called with each DAG's title; what it yields is told the state of the tasks.

    Returns:
        The runs in the order in which they were followed.

    Raises:
        RunFailed: a run ended red. The runs it would have caused do not exist.
    """
    followed: list[FollowedRun] = []
    waiting = [(dag_id, run_id)]
    while waiting:
        current = waiting.pop(0)
        with show(current[0]) as tell:  # type: ignore[attr-defined]
            followed.append(await_run(api, *current, tell))
        caused = await_caused_runs(api, *current)
        waiting += [run for run in caused if run not in waiting and run not in {(f.dag_id, f.run_id) for f in followed}]
    return followed


def await_run(api: AirflowApi, dag_id: str, run_id: str, tell: Callable[[str], None]) -> FollowedRun:
    """Wait until a run has ended; tell what its tasks are doing."""
    start = time.monotonic()
    while True:
        run = api.run(dag_id, run_id)
        tasks = api.tasks(dag_id, run_id)
        tell(describe(api, dag_id, run_id, tasks))
        if run["state"] in ENDED:
            break
        time.sleep(POLL_SECONDS)
    if run["state"] == "failed":
        raise RunFailed(failure(api, dag_id, run_id, tasks))
    return FollowedRun(dag_id, run_id, tasks, time.monotonic() - start)


def describe(api: AirflowApi, dag_id: str, run_id: str, tasks: list[dict[str, Any]]) -> str:
    """Return the state of a run's tasks in one line, with the newest progress line of a task that prints any."""
    words = [f"{task['task_id']} {task['state']}" for task in tasks if task["state"] not in (None, "scheduled", "queued")]
    lines = [line for task in tasks if task["state"] == "running" for line in api.log_lines(dag_id, run_id, task)]
    progress = [found.group() for line in lines if (found := TRAINING_STEP.search(line))]
    return ", ".join(words) + (f": {progress[-1]}" if progress else "")


def await_caused_runs(api: AirflowApi, dag_id: str, run_id: str) -> list[tuple[str, str]]:
    """Return the runs that a run's Assets start, once the scheduler has made them."""
    deadline = time.monotonic() + CREATION_SECONDS
    expected = {dag for asset in api.changed_assets(dag_id, run_id) for dag in api.dags_after(asset)}
    while True:
        caused = api.runs_caused_by(dag_id, run_id)
        if expected <= {dag for dag, _ in caused} or time.monotonic() > deadline:
            return caused
        time.sleep(POLL_SECONDS)


def failure(api: AirflowApi, dag_id: str, run_id: str, tasks: list[dict[str, Any]]) -> str:
    """Return which task failed, its last words, and where to read on."""
    failed = next((task for task in tasks if task["state"] == "failed"), None)
    if failed is None:
        return f"{dag_id} failed: {api.url}/dags/{dag_id}/runs/{run_id}"
    lines = [line.strip() for line in api.log_lines(dag_id, run_id, failed) if "rror" in line]
    # Our own programs say `error: what to do`; anything else that speaks of an error comes second.
    said = [line for line in lines if re.search(r"\berror: ", line)] or lines or ["it left no message"]
    return f"{dag_id}.{failed['task_id']} failed: {said[-1]}\nits log: {api.url}/dags/{dag_id}/runs/{run_id}/tasks/{failed['task_id']}"
