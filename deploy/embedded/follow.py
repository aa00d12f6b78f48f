"""Follow a run of a DAG, and every run that its Assets cause, until all have ended.

Airflow's events of Assets would say which run caused which. But Airflow 3.3.2 answers 500 to `/assets/events` while a run that an event
caused is queued. So the runs are found by their time: a run that an Asset caused has as its `run_after` the moment of the newest event
that it takes in, and that event comes after the end of the task that changed the Asset.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deploy.embedded.airflow_api import AirflowApi

POLL_SECONDS = 1.0
TRAINING_STEP = re.compile(r"step \d+/\d+ .*")  # the trainer's progress lines
SKIP_NOTE = re.compile(
    r"\bskipped: (.*)"
)  # our programs say so before they exit with the status for "skipped"
ENDED = ("success", "failed")
# The scheduler makes the run for a changed Asset in its next loop; a minute is far more than it ever took.
CREATION_SECONDS = 60


class RunFailed(Exception):  # noqa: N818 (it is no error of this program)
    """A DAG run failed: the message names the task, its last error line and the address of its log."""


@dataclass(frozen=True)
class FollowedRun:
    """One run that has ended."""

    dag_id: str
    run_id: str
    skipped: bool  # none of its tasks changed an Asset: it found nothing to do
    notes: list[str]  # why its tasks skipped their work, in the words of those that said so


def follow(
    api: AirflowApi, dag_id: str, run_id: str, show: Callable[[str], Callable[..., Any]]
) -> list[FollowedRun]:
    """Wait for a run and for all that it causes.

    Args:
        api: Airflow.
        dag_id: the DAG whose run was started.
        run_id: that run.
        show: a context manager factory, called with each DAG's title; what it yields is told the state of the tasks.

    Returns:
        The runs in the order in which they were followed.

    Raises:
        RunFailed: a run failed. The runs that it would have caused do not exist.
    """
    followed: list[FollowedRun] = []
    waiting = [(dag_id, run_id)]
    while waiting:
        current = waiting.pop(0)
        with show(current[0]) as tell:  # type: ignore[attr-defined]
            tasks = await_run(api, *current, tell)
        dags_after = api.dags_after_tasks(current[0])
        changed = [task for task in tasks if task["task_id"] in dags_after and task["state"] == "success"]
        skipped = bool(dags_after) and not changed
        followed.append(FollowedRun(*current, skipped, skip_notes(api, *current, tasks)))
        caused = await_caused_runs(
            api, {(dag, task["end_date"]) for task in changed for dag in dags_after[task["task_id"]]}
        )
        waiting += [
            run
            for run in caused
            if run not in waiting and run not in {(f.dag_id, f.run_id) for f in followed}
        ]
    return followed


def await_run(api: AirflowApi, dag_id: str, run_id: str, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """Wait until a run has ended; tell what its tasks are doing; return its tasks."""
    while True:
        run = api.run(dag_id, run_id)
        tasks = api.tasks(dag_id, run_id)
        tell(describe(api, dag_id, run_id, tasks))
        if run["state"] in ENDED:
            break
        time.sleep(POLL_SECONDS)
    if run["state"] == "failed":
        raise RunFailed(failure(api, dag_id, run_id, tasks))
    return tasks


def describe(api: AirflowApi, dag_id: str, run_id: str, tasks: list[dict[str, Any]]) -> str:
    """Return the state of a run's tasks in one line, with the newest progress line of a task that prints any."""
    words = [
        f"{task['task_id']} {task['state']}"
        for task in tasks
        if task["state"] not in (None, "scheduled", "queued")
    ]
    lines = [
        line for task in tasks if task["state"] == "running" for line in api.log_lines(dag_id, run_id, task)
    ]
    progress = [found.group() for line in lines if (found := TRAINING_STEP.search(line))]
    return ", ".join(words) + (f": {progress[-1]}" if progress else "")


def await_caused_runs(api: AirflowApi, expected: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return (DAG id, run id) of the runs that Assets cause, once the scheduler has made them.

    Args:
        api: Airflow.
        expected: (DAG id, when the task that changed its Asset ended).
    """
    deadline = time.monotonic() + CREATION_SECONDS
    while True:
        found = {(dag_id, api.first_asset_run(dag_id, since)) for dag_id, since in expected}
        made = sorted((dag_id, run_id) for dag_id, run_id in found if run_id)
        if len(made) == len(found) or time.monotonic() > deadline:
            return made
        time.sleep(POLL_SECONDS)


def skip_notes(api: AirflowApi, dag_id: str, run_id: str, tasks: list[dict[str, Any]]) -> list[str]:
    """Return what tasks said about why they skipped their work; a task that Airflow itself skipped was never tried and has no log."""
    skipped = [task for task in tasks if task["state"] == "skipped" and task["try_number"]]
    lines = [line for task in skipped for line in api.log_lines(dag_id, run_id, task)]
    return [found.group(1) for line in lines if (found := SKIP_NOTE.search(line))]


def failure(api: AirflowApi, dag_id: str, run_id: str, tasks: list[dict[str, Any]]) -> str:
    """Return which task failed, its last error line, and the address of its log."""
    failed = next((task for task in tasks if task["state"] == "failed"), None)
    if failed is None:
        return f"{dag_id} failed: {api.url}/dags/{dag_id}/runs/{run_id}"
    lines = [line.strip() for line in api.log_lines(dag_id, run_id, failed) if "rror" in line]
    # Our own programs write `error: what to do`; any other line with "error" is second choice.
    said = [line for line in lines if re.search(r"\berror: ", line)] or lines or ["it left no message"]
    return f"{dag_id}.{failed['task_id']} failed: {said[-1]}\nits log: {api.url}/dags/{dag_id}/runs/{run_id}/tasks/{failed['task_id']}"
