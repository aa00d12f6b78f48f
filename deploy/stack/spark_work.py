"""Which Spark workers ran tasks: the History Server knows of each application."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from deploy.stack.http import request

# The History Server reads logs every ten seconds. Of an application that has just ended it may not know that, or answer with an error.
PATIENCE_SECONDS = 60
POLL_SECONDS = 1.0


def tasks_by_worker(history: str, since: float) -> dict[str, dict[str, int]]:
    """Return, for each application that began at `since` or later, the tasks that each worker's executors ran; wait until all have ended.

    Args:
        history: the address of the History Server.
        since: seconds since 1970.

    Raises:
        OSError: it does not answer, or not with a list of applications.
    """
    begin = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%dT%H:%M:%S.000GMT")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        known, applications = request("GET", f"{history}/api/v1/applications?minDate={begin}")
        answers = [
            (each, *request("GET", f"{history}/api/v1/applications/{each['id']}/allexecutors"))
            for each in applications or []
        ]
        if known == 200 and all(
            each["attempts"][-1]["completed"] and status == 200 for each, status, _ in answers
        ):
            break
        if time.monotonic() > deadline:
            if known != 200:
                raise OSError(
                    f"the History Server at {history} answers {known} to the question for its applications"
                )
            break
        time.sleep(POLL_SECONDS)
    return {f"{each['name']} {each['id']}": tasks_of(executors or []) for each, _, executors in answers}


def tasks_of(executors: list[dict[str, Any]]) -> dict[str, int]:
    """Return the tasks by worker's address."""
    tasks: Counter[str] = Counter()
    for executor in executors:
        if executor["id"] != "driver":
            tasks[executor["hostPort"].partition(":")[0]] += executor["totalTasks"]
    return dict(tasks)


def problems(tasks: dict[str, dict[str, int]], workers: int) -> Iterator[str]:
    """Yield the applications of which not every worker ran a task.

    Args:
        tasks: as `tasks_by_worker` returns them.
        workers: how many there are.
    """
    for application, by_worker in tasks.items():
        busy = sum(count > 0 for count in by_worker.values())
        if busy < workers:
            yield f"{application}: {busy} of {workers} Spark workers ran its tasks"
