"""The tables that loading writes (docs: DESIGN.md, *Data contracts*), and how it commits to them.

`tweets_raw` and `quarantine` are append-only logs. Each append and each removal of a dump's rows carries a Delta transaction id: the dump's hash
as the application, and a version that counts up, odd after an append and even after a removal. So the table itself says whether it holds a
dump, in the same commit as the rows: whoever tries a second time, or at the same time, finds it done.
"""

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, QueryBuilder, Schema, Transaction
from deltalake.exceptions import CommitFailedError
from deltalake.fs import DeltaStorageHandler
from deltalake.transaction import AddAction, RemoveAction
from pyarrow.fs import PyFileSystem

from loading.judging import hash_ids

TIMESTAMP = pa.timestamp("us", tz="UTC")


def _required(name: str, type_: pa.DataType) -> pa.Field:
    return pa.field(name, type_, nullable=False)


# Key (tweet_id, dump_sha256): one row for each accepted tweet of each dump. A column that the dump does not have is null.
TWEETS_RAW = pa.schema(
    [
        _required("tweet_id", pa.string()),
        _required("safe_text", pa.string()),
        pa.field("label", pa.float64()),
        pa.field("agreement", pa.float64()),
        _required("dump_sha256", pa.string()),
        _required("delivered_at", TIMESTAMP),
        _required("ingested_at", TIMESTAMP),
    ]
)
# Key (dump_sha256, row_number); row_number counts the records after the header from 1.
QUARANTINE = pa.schema(
    [
        _required("dump_sha256", pa.string()),
        _required("row_number", pa.int64()),
        _required("raw_record", pa.string()),
        _required("reason", pa.string()),
    ]
)
# Key dump_sha256; records = accepted + duplicates + quarantined. `known` of the accepted tweets came in earlier deliveries too. The figures of
# quality count all good records, repeats included; `reason` says why a dump is in its state, null where nothing is to be said.
DUMPS = pa.schema(
    [
        _required("dump_sha256", pa.string()),
        _required("source", pa.string()),
        _required("delivered_at", TIMESTAMP),
        _required("state", pa.string()),
        _required("bytes", pa.int64()),
        _required("records", pa.int64()),
        _required("accepted", pa.int64()),
        _required("known", pa.int64()),
        _required("duplicates", pa.int64()),
        _required("quarantined", pa.int64()),
        _required("negative", pa.int64()),
        _required("neutral", pa.int64()),
        _required("positive", pa.int64()),
        pa.field("median_text_length", pa.float64()),
        pa.field("label_distance", pa.float64()),
        pa.field("reason", pa.string()),
        _required("ingested_at", TIMESTAMP),
        _required("run_id", pa.string()),
    ]
)

LOADED, HELD, REFUSED, REJECTED, RETRACTED = "loaded", "held", "refused", "rejected", "retracted"

TABLE_PROPERTIES = {
    # clean_tweets reads what has changed.
    "delta.enableChangeDataFeed": "true",
    # Smallest and largest texts, which are in no order, help no reader.
    "delta.dataSkippingStatsColumns": "dump_sha256,delivered_at",
}
QUARANTINE_PROPERTIES = {"delta.dataSkippingStatsColumns": "dump_sha256,row_number"}
# A commit is tried again when another one came between; so many at once never do.
COMMIT_TRIES = 50

# What a writing thread holds in memory, and what Spark can read as a task of its own: it splits a file between its groups.
ROWS_PER_GROUP = 200_000
# Few files: to close one in HDFS is 0.4 s of waiting.
GROUPS_PER_FILE = 50
# More than there are cores, because of that waiting.
WRITING_THREADS = 3

Result = TypeVar("Result")


@dataclass(frozen=True)
class Tables:
    """The URIs of the tables."""

    tweets_raw: str
    quarantine: str
    dumps: str


def create_tweets_raw(tables: Tables) -> None:
    _create(tables.tweets_raw, TWEETS_RAW, TABLE_PROPERTIES)


def create_quarantine(tables: Tables) -> None:
    _create(tables.quarantine, QUARANTINE, QUARANTINE_PROPERTIES)


def create_dumps(tables: Tables) -> None:
    _create(tables.dumps, DUMPS, {})


def _create(uri: str, schema: pa.Schema, properties: Mapping[str, str]) -> None:
    """Create a table if it does not exist."""
    if not DeltaTable.is_deltatable(uri):
        DeltaTable.create(
            uri, schema=Schema.from_arrow(schema), mode="ignore", configuration=dict(properties)
        )


def until_committed(attempt: Callable[[], Result]) -> Result:
    """The result of `attempt`, which reads the newest version and commits; made again as long as other commits come between."""
    for _ in range(COMMIT_TRIES - 1):
        try:
            return attempt()
        except CommitFailedError:
            continue
    return attempt()


def holds_dump(table: DeltaTable, sha256: str) -> bool:
    """Whether the rows of a dump are in the table."""
    return (table.transaction_version(sha256) or 0) % 2 == 1


def next_transaction(table: DeltaTable, sha256: str) -> CommitProperties:
    """What makes a commit the next one about this dump, and fail where another one has come first."""
    return CommitProperties(
        app_transactions=[Transaction(sha256, (table.transaction_version(sha256) or 0) + 1)]
    )


def append_dump(table: DeltaTable, sha256: str, batches: Iterable[pa.RecordBatch]) -> bool:
    """Append the rows of a dump in one commit, unless the table holds them; returns whether this call did it.

    Args:
        table: a table whose newest version was read before the call.
        sha256: the dump's hash.
        batches: its rows, none of them against the table's schema: the commit does not check them.
    """
    if holds_dump(table, sha256):
        return False
    version, properties = table.transaction_version(sha256), next_transaction(table, sha256)
    files = write_files(table.table_uri, sha256, in_groups(batches))

    def attempt() -> bool:
        # As long as nobody has loaded or taken back this dump since, commits of others do not matter.
        newest = DeltaTable(table.table_uri)
        if newest.transaction_version(sha256) == version:
            commit_files(newest, files, properties)
            return True
        if holds_dump(newest, sha256):
            return False  # another loader was faster
        raise CommitFailedError(f"the dump {sha256} was loaded and taken back meanwhile")

    try:
        commit_files(table, files, properties)
    except CommitFailedError:
        return until_committed(attempt)
    return True


def commit_files(
    table: DeltaTable, files: list[AddAction | RemoveAction], properties: CommitProperties
) -> None:
    """Append files to a table."""
    table.create_write_transaction(
        files, mode="append", schema=table.schema(), partition_by=[], commit_properties=properties
    )


def in_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """`batches` in tables of about ROWS_PER_GROUP rows."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(map(len, waiting)) >= ROWS_PER_GROUP:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)


def write_files(table_uri: str, sha256: str, groups: Iterator[pa.Table]) -> list[AddAction | RemoveAction]:
    """Write rows of a dump into files of a table, each thread into its own; returns what a commit must say about them."""
    lock = threading.Lock()

    def take() -> pa.Table | None:
        with lock:
            return next(groups, None)

    def write_in_turn() -> list[AddAction | RemoveAction]:
        written: list[AddAction | RemoveAction] = []
        while (group := take()) is not None:
            written.append(
                write_file(table_uri, sha256, group, islice(iter(take, None), GROUPS_PER_FILE - 1))
            )
        return written

    with ThreadPoolExecutor(WRITING_THREADS) as threads:
        return list(
            chain.from_iterable(
                writer.result() for writer in [threads.submit(write_in_turn) for _ in range(WRITING_THREADS)]
            )
        )


def write_file(table_uri: str, sha256: str, first: pa.Table, more: Iterable[pa.Table]) -> AddAction:
    """Write groups of rows of a dump into one file of a table; returns what a commit must say about it."""
    name, files = f"part-{uuid.uuid4()}.zstd.parquet", PyFileSystem(DeltaStorageHandler(table_uri))
    # Ids never repeat and texts seldom do: a dictionary of them would be tried in vain.
    repeating = [
        column
        for column in first.column_names
        if column not in ("tweet_id", "safe_text", "raw_record", "row_number")
    ]
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
    indexed = {"dump_sha256": sha256} | (
        {"delivered_at": stats_time(first["delivered_at"][0].as_py())} if "delivered_at" in repeating else {}
    )
    stats = {
        "numRecords": rows,
        "minValues": indexed,
        "maxValues": indexed,
        "nullCount": dict.fromkeys(indexed, 0),
    }
    return AddAction(name, info.size, {}, int(time.time() * 1000), True, json.dumps(stats))


def stats_time(moment: datetime) -> str:
    """A time, whole in milliseconds, as Delta's statistics have it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def remove_dump(uri: str, sha256: str) -> int:
    """Delete the rows of a dump; returns how many there were, 0 where there are none any more."""

    def attempt() -> int:
        if not DeltaTable.is_deltatable(uri):
            return 0
        table = DeltaTable(uri)
        if not holds_dump(table, sha256):
            return 0
        properties = next_transaction(table, sha256)
        metrics = table.delete(f"dump_sha256 = '{sha256}'", commit_properties=properties)
        if not metrics["num_deleted_rows"]:
            # Maintenance has dropped them all. Nothing was committed, and the transaction must be.
            commit_files(table, [], properties)
        return int(metrics["num_deleted_rows"] or 0)

    return until_committed(attempt)


def delivery_time(tables: Tables, sha256: str) -> datetime | None:
    """When the dump whose rows the log holds was delivered; None where the log holds none of it."""
    sql = f"SELECT min(delivered_at) AS delivered_at FROM t WHERE dump_sha256 = '{sha256}'"  # noqa: S608 (a hash)
    [row] = read_batches(DeltaTable(tables.tweets_raw), sql).read_all().to_pylist()
    moment: datetime | None = row["delivered_at"]
    return moment


def count_known(
    tables: Tables, sorted_id_hashes: npt.NDArray[np.uint64], delivered_at: datetime, sha256: str
) -> int:
    """How many of a dump's ids the log holds from earlier deliveries.

    Ids are told apart by 64-bit hashes: with 10 million ids in a log of 100 million, the chance that the count is off by one is 1 in 20,000.
    """
    if not len(sorted_id_hashes):
        return 0
    moment = f"TIMESTAMP '{delivered_at.isoformat()}'"
    is_earlier = f"delivered_at < {moment} OR (delivered_at = {moment} AND dump_sha256 < '{sha256}')"
    is_known = np.zeros(len(sorted_id_hashes), dtype=bool)
    for batch in read_batches(DeltaTable(tables.tweets_raw), f"SELECT tweet_id FROM t WHERE {is_earlier}"):  # noqa: S608 (a time and a hash)
        of_log = hash_ids(batch.column("tweet_id"))
        places = np.minimum(np.searchsorted(sorted_id_hashes, of_log), len(sorted_id_hashes) - 1)
        # A hash that comes more than once in the dump is marked at its first place alone.
        is_known[places[sorted_id_hashes[places] == of_log]] = True
    return int(np.count_nonzero(is_known))


def read_batches(table: DeltaTable, sql: str) -> pa.RecordBatchReader:
    """The rows of a query on a table, which it knows as `t`, as they are read."""
    return pa.RecordBatchReader.from_stream(QueryBuilder().register("t", table).execute(sql))


def read_dumps(tables: Tables) -> dict[str, dict[str, Any]]:
    """The rows of `dumps` by hash; empty where the table does not exist yet."""
    return dumps_in(DeltaTable(tables.dumps)) if DeltaTable.is_deltatable(tables.dumps) else {}


def dumps_in(table: DeltaTable) -> dict[str, dict[str, Any]]:
    """The rows of `dumps` by hash, as of the version that was opened."""
    return {row["dump_sha256"]: row for row in read_batches(table, "SELECT * FROM t").read_all().to_pylist()}


def record_dump(tables: Tables, row: Mapping[str, Any], *, replaces: tuple[str, ...]) -> dict[str, Any]:
    """Write the row of a dump unless there is one in a state that it may not replace; returns the row that stands then."""
    sha256 = row["dump_sha256"]
    create_dumps(tables)

    def attempt() -> dict[str, Any]:
        table = DeltaTable(tables.dumps)
        standing = dumps_in(table).get(sha256)
        if standing and standing["state"] not in replaces:
            return standing
        rows = pa.Table.from_pylist([dict(row) | {"ingested_at": datetime.now(UTC)}], schema=DUMPS)
        properties = next_transaction(table, sha256)
        if standing is None:
            commit_files(table, [write_file(table.table_uri, sha256, rows, [])], properties)
        else:
            merger = table.merge(
                rows, "old.dump_sha256 = new.dump_sha256", "new", "old", commit_properties=properties
            )
            merger.when_matched_update_all().execute()
        [written] = rows.to_pylist()
        return dict(written)

    return until_committed(attempt)
