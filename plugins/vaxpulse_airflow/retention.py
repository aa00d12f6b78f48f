"""Delete old folders and files in HDFS. WebHDFS deletes a folder with its content in one operation."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from contracts import hdfs_paths
from vaxpulse_airflow.webhdfs import find_status

if TYPE_CHECKING:
    from hdfs import Client


def delete_old_reports(client: "Client", before: datetime, keep: Collection[str]) -> list[str]:
    """Delete the reports that were last written before a time. Return their folders.

    The newest report of each DAG stays, because `make run` and alerts link to it.

    Args:
        client: client of WebHDFS.
        before: the time.
        keep: folders that stay.
    """
    deleted = []
    for dag_id, _ in list_entries(client, hdfs_paths.REPORTS):
        folder = f"{hdfs_paths.REPORTS}/{dag_id}"
        older = sorted(list_entries(client, folder), key=lambda entry: entry[1])[:-1]
        deleted += _delete(client, folder, older, before, keep)
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
