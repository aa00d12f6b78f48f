"""Reads of Delta tables for pages. An opened table and results of queries are reused for some seconds."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow
from deltalake import DeltaTable, QueryBuilder

from contracts import hdfs_paths
from contracts.tables import Table

CACHE_SECONDS = 5.0
# A restored table may have an earlier version, which an update of the opened table does not find.
REOPEN_SECONDS = 300.0
MAX_RESULTS = 200  # per table

Row = dict[str, Any]


class OpenTable:
    """A version of a table, and results of queries on this version."""

    def __init__(self, uri: str) -> None:
        self.delta = DeltaTable(uri)
        self.opened_at = self.checked_at = time.monotonic()
        self.version = self.delta.version()
        self.results: dict[Any, Any] = {}

    def update(self) -> None:
        """Load later versions."""
        self.delta.update_incremental()
        if self.delta.version() != self.version:
            self.version, self.results = self.delta.version(), {}
        self.checked_at = time.monotonic()


class Tables:
    """The tables of the platform.

    Args:
        locate: returns the URI of a table.
    """

    def __init__(self, locate: Callable[[Table], str]) -> None:
        self._locate = locate
        self._tables: dict[str, OpenTable] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def open(self, table: Table) -> OpenTable | None:
        """Return a version of a table that is at most CACHE_SECONDS old, or None if there is no table."""
        with self._lock:
            lock = self._locks.setdefault(table.name, threading.Lock())
        with lock:
            found, now = self._tables.get(table.name), time.monotonic()
            if found is None or now - found.opened_at > REOPEN_SECONDS:
                uri = self._locate(table)
                if not DeltaTable.is_deltatable(uri):
                    return None
                found = self._tables[table.name] = OpenTable(uri)
            elif now - found.checked_at > CACHE_SECONDS:
                found.update()
            return found

    def query(self, table: Table, sql: str) -> list[Row]:
        """Return the rows of an SQL query on a table with the name `t`. A missing table has no rows."""
        return self.cached(table, sql, lambda opened: list(read_rows(opened, sql)), [])

    def cached(self, table: Table, key: Any, compute: Callable[[OpenTable], Any], missing: Any) -> Any:
        """Return a result for the current version of a table. It is computed once per version and key.

        Args:
            table: the table.
            key: identifies the result.
            compute: returns the result.
            missing: result if there is no table.
        """
        opened = self.open(table)
        if opened is None:
            return missing
        results = opened.results
        if key not in results:
            value = compute(opened)
            if len(results) >= MAX_RESULTS:
                results.clear()
            results[key] = value
            return value
        return results[key]

    def stream(self, table: Table, sql: str) -> Iterator[Row]:
        """Yield the rows of an SQL query in batches. Nothing is kept."""
        opened = self.open(table)
        if opened is not None:
            yield from read_rows(opened, sql)


def read_rows(opened: OpenTable, sql: str) -> Iterator[Row]:
    """Yield the rows of an SQL query on a version of a table with the name `t`."""
    batches = QueryBuilder().register("t", opened.delta).execute(sql)
    for batch in pyarrow.RecordBatchReader.from_stream(batches):
        yield from batch.to_pylist()


def sql_text(value: str) -> str:
    """Return an SQL literal. DataFusion has no other escape in literals.

    >>> sql_text("it's")
    "'it''s'"
    """
    return "'" + value.replace("\0", "").replace("'", "''") + "'"


def hdfs_tables() -> Tables:
    """Return the tables in HDFS."""
    file_system = os.environ["VAXPULSE_HDFS"]
    return Tables(lambda table: hdfs_paths.uri(file_system, hdfs_paths.table_path(table.name)))
