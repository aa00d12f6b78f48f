"""Delete old data that Airflow's tools reach: folders in HDFS, and rows of Airflow's database.

    python -m vaxpulse_airflow.retention --days 30 [--daily]

The command is `airflow db clean`, made safe. It runs beside the scheduler, because tasks have no access to
the database. These rows stay:

- Asset events: score_tweets finds in them the dumps whose drift it has reported, and ingest_tweets the time
  until which it has reported loaded dumps. Both would report them again.
- Triggers: the row of the landing folder's trigger is as old as the platform.
- Everything since the start of the oldest DAG run that has not ended. `airflow db clean` also deletes runs
  that wait for the decision of a user.
"""

import argparse
import os
import sys
import time
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from contracts import hdfs_paths
from vaxpulse_airflow.webhdfs import find_status

if TYPE_CHECKING:
    from hdfs import Client

# With the tables that depend on them: task instances, their history, XComs, deadlines.
TABLES = ("dag_run", "log", "job", "import_error", "callback", "task_reschedule", "xcom")
DAY_SECONDS = 86_400


def delete_old_reports(client: "Client", before: datetime, keep: Collection[str]) -> list[str]:
    """Delete the reports that were last written before a time. Return their folders.

    The newest complete report of each DAG stays, because `make run` and alerts link to it. The folder of a
    failed run has no report.html.

    Args:
        client: client of WebHDFS.
        before: the time.
        keep: folders that stay.
    """
    deleted = []
    for dag_id, _ in list_entries(client, hdfs_paths.REPORTS):
        folder = f"{hdfs_paths.REPORTS}/{dag_id}"
        entries = sorted(list_entries(client, folder), key=lambda entry: entry[1], reverse=True)
        complete = (name for name, _ in entries if find_status(client, f"{folder}/{name}/report.html"))
        newest = next(complete, None)
        deleted += _delete(client, folder, [entry for entry in entries if entry[0] != newest], before, keep)
    return deleted


def delete_old_entries(client: "Client", folder: str, before: datetime, keep: Collection[str]) -> list[str]:
    """Delete the files and folders in a folder that were last modified before a time. Return their paths.

    Args:
        client: client of WebHDFS.
        folder: the folder.
        before: the time.
        keep: paths that stay.
    """
    return _delete(client, folder, list_entries(client, folder), before, keep)


def delete_reports_since(client: "Client", since: datetime) -> list[str]:
    """Delete the reports that were written since a time. Return their folders."""
    deleted = []
    for dag_id, _ in list_entries(client, hdfs_paths.REPORTS):
        folder = f"{hdfs_paths.REPORTS}/{dag_id}"
        for name, modified in list_entries(client, folder):
            if modified >= since:
                client.delete(f"{folder}/{name}", recursive=True)
                deleted.append(f"{folder}/{name}")
    return deleted


def list_entries(client: "Client", folder: str) -> list[tuple[str, datetime]]:
    """Return the name and the mtime of each file and folder in a folder, none if it does not exist."""
    if find_status(client, folder) is None:
        return []
    return [
        (name, datetime.fromtimestamp(status["modificationTime"] / 1000, UTC))
        for name, status in client.list(folder, status=True)
    ]


def _delete(
    client: "Client",
    folder: str,
    entries: list[tuple[str, datetime]],
    before: datetime,
    keep: Collection[str],
) -> list[str]:
    paths = [f"{folder}/{name}" for name, modified in entries if modified < before]
    deleted = [path for path in paths if path not in keep]
    for path in deleted:
        client.delete(path, recursive=True)
    return deleted


def find_cutoff(days: int, now: datetime, oldest_unfinished: datetime | None) -> datetime:
    """Return the time before which rows are deleted."""
    cutoff = now - timedelta(days=days)
    return min(cutoff, oldest_unfinished) if oldest_unfinished else cutoff


def clean_history(days: int) -> None:
    """Delete rows that are older than a number of days."""
    from airflow.models.dagrun import DagRun
    from airflow.sdk import timezone
    from airflow.utils.db_cleanup import run_cleanup
    from airflow.utils.session import create_session
    from airflow.utils.state import State
    from sqlalchemy import func, select

    with create_session() as session:
        times = select(func.min(func.coalesce(DagRun.start_date, DagRun.queued_at)))
        oldest = session.scalar(times.where(DagRun.state.in_(State.unfinished_dr_states)))
    cutoff = find_cutoff(days, datetime.now(UTC), oldest)
    print(f"delete rows of Airflow's database before {cutoff:%Y-%m-%d %H:%M} UTC", flush=True)
    run_cleanup(
        clean_before_timestamp=timezone.coerce_datetime(cutoff),
        table_names=list(TABLES),
        confirm=False,
        skip_archive=True,  # the archive tables would grow in the same way
        error_on_cleanup_failure=True,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Delete old rows, once or every day."""
    parser = argparse.ArgumentParser("retention", description="Delete old rows of Airflow's database.")
    parser.add_argument("--days", type=int, default=int(os.environ.get("VAXPULSE_HISTORY_DAYS", "30")))
    parser.add_argument("--daily", action="store_true", help="repeat it every day until a signal arrives")
    options = parser.parse_args(arguments)
    clean_history(options.days)
    while options.daily:
        time.sleep(DAY_SECONDS)
        clean_history(options.days)
    return 0


if __name__ == "__main__":
    sys.exit(main())
