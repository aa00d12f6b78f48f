"""Reads of Delta tables for pages. An opened table and results of queries are reused for some seconds."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow
from deltalake import DeltaTable, QueryBuilder
from deltalake.fs import DeltaStorageHandler
from pyarrow import parquet
from pyarrow.fs import PyFileSystem

from contracts import hdfs_paths
from contracts.tables import Table

CACHE_SECONDS = 5.0
# A restored table may have an earlier version, which an update of the opened table does not find.
REOPEN_SECONDS = 300.0
MAX_RESULTS = 200  # per table
MAX_SINGLE_FILES = 20

Row = dict[str, Any]
# Files that a query has read, and their rows; the rows of each file that was read later.
Files = tuple[frozenset[str], list[Row], dict[str, list[Row]]]


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
        self._files: dict[str, Files] = {}
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
        return self.cached(table, sql, lambda opened: list(read_rows(opened.delta, sql)), [])

    def read_all(self, table: Table) -> list[Row]:
        """Return all rows of a small table. A missing table has none.

        A query would read all files again after each change; a file never changes, so that here each one is
        read once. `dumps` has a file for each new dump until maintain_tables merges them.
        """

        def read(opened: OpenTable) -> list[Row]:
            with self._locks[table.name]:  # another request must not update the table meanwhile
                return self._read_files(table, opened.delta)

        return self.cached(table, "all rows", read, [])

    def _read_files(self, table: Table, delta: DeltaTable) -> list[Row]:
        names = frozenset(pyarrow.table(delta.get_add_actions())["path"].to_pylist())
        known = self._files.get(table.name, (frozenset(), [], {}))
        queried, rows, single = known
        new = names.difference(queried, single)
        if len(new) > MAX_SINGLE_FILES or not names.issuperset(queried):
            # Of many files a query is faster, but it does not return the file of a row.
            queried, rows, single, new = names, list(read_rows(delta, "SELECT * FROM t")), {}, frozenset()
        stored = PyFileSystem(DeltaStorageHandler(delta.table_uri))
        schema = pyarrow.schema(delta.schema().to_arrow())
        read = {name: read_file(stored, name, schema) for name in sorted(new)}
        single = {name: found for name, found in (single | read).items() if name in names}
        self._files[table.name] = (queried, rows, single)
        return [*rows, *(row for found in single.values() for row in found)]

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
        # Another request may clear the results at any time. A result is never None.
        results = opened.results
        value = results.get(key)
        if value is None:
            value = compute(opened)
            if len(results) >= MAX_RESULTS:
                results.clear()
            results[key] = value
        return value

    def stream(self, table: Table, sql: str) -> Iterator[Row]:
        """Yield the rows of an SQL query in batches. Nothing is kept."""
        opened = self.open(table)
        if opened is not None:
            yield from read_rows(opened.delta, sql)


def read_rows(delta: DeltaTable, sql: str) -> Iterator[Row]:
    """Yield the rows of an SQL query on a version of a table with the name `t`."""
    batches = QueryBuilder().register("t", delta).execute(sql)
    for batch in pyarrow.RecordBatchReader.from_stream(batches):
        yield from batch.to_pylist()


def read_file(stored: PyFileSystem, name: str, schema: pyarrow.Schema) -> list[Row]:
    """Return the rows of a file. Columns that are newer than the file are null."""
    # Spark writes timestamps as INT96, which has nanoseconds and no zone.
    with stored.open_input_file(name) as file:  # `read_table` takes ten times as long for a small file
        rows = parquet.ParquetFile(file, coerce_int96_timestamp_unit="us").read()
    present = pyarrow.schema([field for field in schema if field.name in rows.column_names])
    missing = dict.fromkeys(schema.names)
    return [missing | row for row in rows.select(present.names).cast(present).to_pylist()]


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
