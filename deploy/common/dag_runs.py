"""Follow a DAG run, and every run that its Asset updates trigger, until all have ended.

Asset events contain the ids of the runs that they triggered, but Airflow 3.3.2 answers `/assets/events` with
status 500 while such a run is queued. Therefore triggered runs are found by time. The `run_after` of a
triggered run is the time of the newest Asset event that it consumes. This time is later than the end of the
task that updated the Asset.
"""

import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from deploy.common.airflow_api import AirflowApi
from deploy.common.errors import CommandError

POLL_SECONDS = 1.0
TRAINING_STEP = re.compile(r"step \d+/\d+ .*")  # the trainer's progress lines
SKIP_NOTE = re.compile(r"\bskipped: (.*)")  # written by contracts.exit_status.run_command
ENDED = ("success", "failed")
ACTIVE = ("running", "deferred", "up_for_retry", "restarting")
# The scheduler creates a triggered run in its next loop, which takes seconds.
CREATION_SECONDS = 60

Step = Callable[[str], AbstractContextManager[Callable[[str], None]]]


class RunFailed(CommandError):  # noqa: N818 (the run failed, not this program)
    """A DAG run failed. The message contains the task, its last error line and the URL of its log."""


@dataclass(frozen=True)
class FollowedRun:
    """A run that has ended.

    Attributes:
        skipped: whether the tasks that update Assets were skipped, because they had nothing to do.
        notes: reasons in the logs of skipped tasks.
    """

    dag_id: str
    run_id: str
    skipped: bool
    notes: list[str]


def follow(
    api: AirflowApi, dag_id: str, run_id: str, step: Step, look_around: Callable[[], None] = lambda: None
) -> list[FollowedRun]:
    """Wait for a run and for all runs that it triggers.

    Args:
        api: client of Airflow.
        dag_id: DAG of the run.
        run_id: id of the run.
        step: shows the progress of one run, like `deploy.common.steps.step`. The argument is the DAG id.
        look_around: is called after each poll. Other runs may end during a long run.

    Returns:
        The runs in the order in which they were followed.

    Raises:
        RunFailed: a run failed. The runs that it triggers are not followed.
    """
    api.repeat_reads()
    followed: list[FollowedRun] = []
    waiting = [(dag_id, run_id)]
    while waiting:
        current = waiting.pop(0)
        with step(current[0]) as report:
            tasks = wait_for_run(api, *current, report, look_around)
        dags_after = api.dags_after_tasks(current[0])
        updating = [task for task in tasks if task["task_id"] in dags_after and task["state"] == "success"]
        skipped = bool(dags_after) and not updating
        followed.append(FollowedRun(*current, skipped, skip_notes(api, *current, tasks)))
        expected = {(dag, task["end_date"]) for task in updating for dag in dags_after[task["task_id"]]}
        seen = {*waiting, *((run.dag_id, run.run_id) for run in followed)}
        waiting += [run for run in wait_for_triggered_runs(api, expected) if run not in seen]
    return followed


def wait_for_run(
    api: AirflowApi,
    dag_id: str,
    run_id: str,
    report: Callable[[str], None],
    look_around: Callable[[], None],
) -> list[dict[str, Any]]:
    """Wait until a run has ended, report the states of its tasks meanwhile, and return its tasks."""
    while True:
        run = api.run(dag_id, run_id)
        tasks = api.tasks(dag_id, run_id)
        report(describe_tasks(api, dag_id, run_id, tasks))
        look_around()
        if run["state"] in ENDED:
            break
        time.sleep(POLL_SECONDS)
    if run["state"] == "failed":
        raise RunFailed(describe_failure(api, dag_id, run_id, tasks))
    return tasks


def describe_tasks(api: AirflowApi, dag_id: str, run_id: str, tasks: list[dict[str, Any]]) -> str:
    """Return one line with the running tasks of a run, and the newest progress line of a training."""
    active = [task for task in tasks if task["state"] in ACTIVE]
    running = [task for task in active if task["state"] == "running"]
    lines = [line for task in running for line in api.log_lines(dag_id, run_id, task)]
    progress = [found.group() for line in lines if (found := TRAINING_STEP.search(line))]
    states = ", ".join(f"{task['task_id']} {task['state']}" for task in active)
    return states + (f": {progress[-1]}" if progress else "")


def wait_for_triggered_runs(api: AirflowApi, expected: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return (DAG id, run id) of the runs that Asset updates trigger, after the scheduler has created them.

    Args:
        api: client of Airflow.
        expected: (DAG id, end of the task that updated the Asset).
    """
    deadline = time.monotonic() + CREATION_SECONDS
    while True:
        found = {(dag_id, api.first_asset_run(dag_id, since)) for dag_id, since in expected}
        created = sorted((dag_id, run_id) for dag_id, run_id in found if run_id)
        if len(created) == len(found) or time.monotonic() > deadline:
            return created
        time.sleep(POLL_SECONDS)


def skip_notes(api: AirflowApi, dag_id: str, run_id: str, tasks: list[dict[str, Any]]) -> list[str]:
    """Return the reasons in the logs of skipped tasks. Tasks that never started have no log."""
    skipped = [task for task in tasks if task["state"] == "skipped" and task["try_number"]]
    lines = [line for task in skipped for line in api.log_lines(dag_id, run_id, task)]
    return [found.group(1) for line in lines if (found := SKIP_NOTE.search(line))]


def describe_failure(api: AirflowApi, dag_id: str, run_id: str, tasks: list[dict[str, Any]]) -> str:
    """Return the failed task, its last error line, and the URL of its log."""
    url = f"{api.url}/dags/{dag_id}/runs/{run_id}"
    failed = next((task for task in tasks if task["state"] == "failed"), None)
    if failed is None:
        return f"{dag_id} failed: {url}"
    lines = [line.strip() for line in api.log_lines(dag_id, run_id, failed) if "rror" in line]
    # Prefer `error: ...`, which the platform's own commands write, to other lines with "error".
    lines = (
        [line for line in lines if re.search(r"\berror: ", line)] or lines or ["no error message in its log"]
    )
    return f"{dag_id}.{failed['task_id']} failed: {lines[-1]}\nlog: {url}/tasks/{failed['task_id']}"
