"""Commits in the log of a Delta table, found by time without reading the whole log.

A page needs one commit of a log with thousands. Times increase with the version, because the tasks that write
a table run one after the other. So a commit is found in the logarithm of their number of reads.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from deltalake import DeltaTable
from deltalake.fs import DeltaStorageHandler
from pyarrow.fs import PyFileSystem

# Commits after the first one by time that are compared, for example those of maintenance.
MAX_COMPARED = 50


@dataclass(frozen=True)
class Commit:
    """A commit of a table.

    Attributes:
        version: version of the table after it.
        time: when it was made, in whole milliseconds.
        operation: Delta's name of the operation.
        applications: ids of its Delta transactions.
        position: what a Spark job has read for it (`spark_jobs/storage/read_position.py`), or empty.
    """

    version: int
    time: datetime
    operation: str
    applications: frozenset[str] = frozenset()
    position: dict[str, Any] = field(default_factory=dict)

    @property
    def stage(self) -> str:
        """Return the stage that made it, or ''."""
        return str(self.position.get("stage", ""))

    @property
    def source_version(self) -> int:
        """Return the version of the stage's source table, -1 if it is unknown."""
        return int(self.position.get("source_version", -1))


class DeltaLog:
    """The log of an open table.

    Args:
        table: the table. Later commits are not found.
    """

    def __init__(self, table: DeltaTable) -> None:
        self._uri, self._newest = table.table_uri, table.version()

    @cached_property
    def _files(self) -> PyFileSystem:
        return PyFileSystem(DeltaStorageHandler(self._uri))

    def read(self, version: int) -> Commit | None:
        """Return a commit, or None if Delta has removed its file."""
        try:
            with self._files.open_input_stream(f"_delta_log/{version:020d}.json") as file:
                content = file.read().decode()
        except FileNotFoundError:
            return None
        return parse_commit(version, content)

    def find_since(self, moment: datetime, accept: Callable[[Commit], bool]) -> Commit | None:
        """Return the first accepted commit at or after a time, or None."""
        moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
        low, high = 0, self._newest + 1
        while low < high:
            middle = (low + high) // 2
            commit = self.read(middle)
            if commit is None or commit.time < moment:
                low = middle + 1
            else:
                high = middle
        if low and self.read(low - 1) is None:
            return None  # it may be one of the removed commits
        return self._first(range(low, self._newest + 1), accept)

    def find_until(self, version: int, accept: Callable[[Commit], bool]) -> Commit | None:
        """Return the last accepted commit up to a version, or None."""
        return self._first(range(version, -1, -1), accept)

    def _first(self, versions: range, accept: Callable[[Commit], bool]) -> Commit | None:
        commits: Iterator[Commit | None] = map(self.read, versions[:MAX_COMPARED])
        return next((commit for commit in commits if commit is not None and accept(commit)), None)


def parse_commit(version: int, content: str) -> Commit:
    """Return the commit in a file of the log."""
    # Other lines describe files. They are long and are not parsed.
    actions = [
        json.loads(line) for line in content.splitlines() if line.startswith(('{"commitInfo"', '{"txn"'))
    ]
    info: dict[str, Any] = next((action["commitInfo"] for action in actions if "commitInfo" in action), {})
    applications = frozenset(action["txn"]["appId"] for action in actions if "txn" in action)
    return Commit(
        version,
        datetime.fromtimestamp(info.get("timestamp", 0) / 1000, UTC),
        info.get("operation", ""),
        applications,
        read_position(info.get("userMetadata") or ""),
    )


def read_position(text: str) -> dict[str, Any]:
    """Return the read position in the metadata of a commit, or {}.

    >>> read_position('{"stage": "clean_tweets", "source_version": 7}')
    {'stage': 'clean_tweets', 'source_version': 7}
    >>> read_position("restored by hand")
    {}
    """
    try:
        position = json.loads(text)
    except ValueError:
        return {}
    return position if isinstance(position, dict) else {}
