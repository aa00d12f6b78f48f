"""Write rows of a dump into Parquet files of a Delta table, for a commit that is made separately."""

import json
import threading
import time
import uuid
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import chain, islice

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.fs import DeltaStorageHandler
from deltalake.transaction import AddAction, RemoveAction
from pyarrow.fs import PyFileSystem

# The rows that a writing thread holds in memory. Spark can split a file between its row groups.
ROWS_PER_GROUP = 200_000
# Large files, because closing a file in HDFS takes 0.4 s.
GROUPS_PER_FILE = 50
# More threads than cores, because closing a file is waiting.
WRITING_THREADS = 3
# Ids do not repeat, texts and times rarely do: Parquet's dictionary encoding would be tried in vain.
UNIQUE_COLUMNS = ("tweet_id", "safe_text", "created_at", "raw_record", "row_number")


def write_files(
    table_uri: str, sha256: str, batches: Iterable[pa.RecordBatch]
) -> list[AddAction | RemoveAction]:
    """Write rows of a dump into files, concurrently. Return the actions of a commit."""
    groups, lock = group_batches(batches), threading.Lock()

    def take() -> pa.Table | None:
        with lock:
            return next(groups, None)

    def write_until_empty() -> list[AddAction]:
        written = []
        while (group := take()) is not None:
            more = islice(iter(take, None), GROUPS_PER_FILE - 1)
            written.append(write_file(table_uri, sha256, group, more))
        return written

    with ThreadPoolExecutor(WRITING_THREADS) as threads:
        writers = [threads.submit(write_until_empty) for _ in range(WRITING_THREADS)]
        return list(chain.from_iterable(writer.result() for writer in writers))


def group_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Yield `batches` as tables of about ROWS_PER_GROUP rows."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(map(len, waiting)) >= ROWS_PER_GROUP:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)


def write_file(
    table_uri: str, sha256: str | None, first: pa.Table, more: Iterable[pa.Table] = ()
) -> AddAction:
    """Write groups of rows into one file of a table and return the action of a commit.

    Args:
        table_uri: the table.
        sha256: the dump of all rows; None for a table without dumps.
        first: the first group.
        more: the other groups.
    """
    name, files = f"part-{uuid.uuid4()}.zstd.parquet", PyFileSystem(DeltaStorageHandler(table_uri))
    repeating = [column for column in first.column_names if column not in UNIQUE_COLUMNS]
    rows = 0
    options = {
        "compression": "zstd",
        "use_dictionary": repeating,
        "write_statistics": repeating,
        "store_schema": False,
    }
    with pq.ParquetWriter(name, first.schema, filesystem=files, **options) as writer:
        for group in chain([first], more):
            writer.write_table(group)
            rows += len(group)
    [info] = files.get_file_info([name])
    # All rows of a file are of one dump.
    bounds = {"dump_sha256": sha256} if sha256 else {}
    if "delivered_at" in repeating:
        bounds["delivered_at"] = format_for_stats(first["delivered_at"][0].as_py())
    stats = {
        "numRecords": rows,
        "minValues": bounds,
        "maxValues": bounds,
        "nullCount": dict.fromkeys(bounds, 0),
    }
    return AddAction(name, info.size, {}, int(time.time() * 1000), True, json.dumps(stats))


def read_added_files(
    table: DeltaTable, known: Collection[str], columns: list[str] | None = None
) -> tuple[frozenset[str], pa.Table | None]:
    """Return the names of the files of a table, and the rows of those that are not known.

    The rows are None if a known file was removed, or no file is known: then all rows must be read, for which
    a query is faster.

    Args:
        table: a version of a table.
        known: names of files that were read before.
        columns: columns to read. None: all.
    """
    files = frozenset(pa.table(table.get_add_actions())["path"].to_pylist())
    if not known or not files.issuperset(known):
        return files, None
    stored = PyFileSystem(DeltaStorageHandler(table.table_uri))
    schema = pa.schema(table.schema().to_arrow())
    schema = schema if columns is None else pa.schema([schema.field(name) for name in columns])
    # A file that a MERGE wrote has string_view where this package writes string.
    added = [
        pq.read_table(name, columns=schema.names, filesystem=stored).cast(schema)
        for name in sorted(files.difference(known))
    ]
    return files, pa.concat_tables(added) if added else schema.empty_table()


def format_for_stats(moment: datetime) -> str:
    """Return a time, which has whole milliseconds, in the format of Delta's statistics."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
