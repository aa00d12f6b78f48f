"""Which Spark workers ran tasks: the History Server knows of each application."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

from deploy.stack.http import request


def tasks_by_worker(history: str, since: float) -> dict[str, dict[str, int]]:
    """Return, for each application that began at `since` (seconds since 1970) or later, the tasks that each worker's executors ran.

    Args:
        history: the address of the History Server.
        since: seconds since 1970.
    """
    begin = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%dT%H:%M:%S.000GMT")
    _, applications = request("GET", f"{history}/api/v1/applications?minDate={begin}")
    found = {}
    for application in applications or []:
        _, executors = request("GET", f"{history}/api/v1/applications/{application['id']}/allexecutors")
        tasks: Counter[str] = Counter()
        for executor in executors or []:
            if executor["id"] != "driver":
                tasks[executor["hostPort"].partition(":")[0]] += executor["totalTasks"]
        found[f"{application['name']} {application['id']}"] = dict(tasks)
    return found


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
