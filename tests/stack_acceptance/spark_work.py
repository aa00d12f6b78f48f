"""Check that each Spark worker ran tasks, according to the History Server."""

import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from tests.stack_acceptance.http import request

# The History Server reads event logs every 10 s. Until then it may not list an application, or respond with
# an error.
TIMEOUT_SECONDS = 60
POLL_SECONDS = 1.0


def tasks_by_worker(history: str, since: float) -> dict[str, dict[str, int]]:
    """Return the number of tasks by worker, for each application that started at `since` or later.

    Wait until all these applications have ended.

    Args:
        history: URL of the History Server.
        since: seconds since 1970.

    Raises:
        OSError: the History Server returns no list of applications.
    """
    begin = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%dT%H:%M:%S.000GMT")
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        list_status, applications = request("GET", f"{history}/api/v1/applications?minDate={begin}")
        responses = [
            (each, *request("GET", f"{history}/api/v1/applications/{each['id']}/allexecutors"))
            for each in applications or []
        ]
        if list_status == 200 and all(
            each["attempts"][-1]["completed"] and status == 200 for each, status, _ in responses
        ):
            break
        if time.monotonic() > deadline:
            if list_status != 200:
                raise OSError(f"the History Server at {history} answered {list_status}")
            break
        time.sleep(POLL_SECONDS)
    return {f"{each['name']} {each['id']}": count_tasks(executors or []) for each, _, executors in responses}


def count_tasks(executors: list[dict[str, Any]]) -> dict[str, int]:
    """Return the number of tasks by the worker's address."""
    tasks: Counter[str] = Counter()
    for executor in executors:
        if executor["id"] != "driver":
            tasks[executor["hostPort"].partition(":")[0]] += executor["totalTasks"]
    return dict(tasks)


def find_problems(tasks: dict[str, dict[str, int]], workers: int) -> Iterator[str]:
    """Yield the applications whose tasks did not run on all workers.

    Args:
        tasks: result of `tasks_by_worker`.
        workers: number of workers.
    """
    for application, by_worker in tasks.items():
        busy = sum(count > 0 for count in by_worker.values())
        if busy < workers:
            yield f"{application}: {busy} of {workers} Spark workers ran its tasks"
