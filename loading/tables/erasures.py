"""The table `erasures`: the tweets and dumps that were erased, so that they do not come back unnoticed."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable

from contracts.tables import ERASURES
from loading.tables.commits import commit_files
from loading.tables.conflicts import retry_on_conflict
from loading.tables.parquet_files import write_file
from loading.tables.queries import query
from loading.tables.schemas import arrow_schema, create_table

Subject = Literal["tweet", "dump"]


def hash_id(tweet_id: str) -> str:
    """Return the SHA-256 of an id in lower-case hexadecimal."""
    return hashlib.sha256(tweet_id.encode()).hexdigest()


def read_erasures(uri: str, subject: Subject) -> set[str]:
    """Return the hashes of the erased tweets or dumps, none if the table does not exist."""
    if not DeltaTable.is_deltatable(uri):
        return set()
    rows = query(DeltaTable(uri), f"SELECT sha256 FROM t WHERE subject = '{subject}'").read_all()  # noqa: S608 (a literal)
    return set(rows.column("sha256").to_pylist())


def read_dumps_of_run(uri: str, run_id: str) -> set[str]:
    """Return the dumps that a run of `erase_tweets` has recorded, none if the table does not exist."""
    if not DeltaTable.is_deltatable(uri):
        return set()
    rows = query(DeltaTable(uri), "SELECT sha256, run_id FROM t WHERE subject = 'dump'").read_all()
    return {row["sha256"] for row in rows.to_pylist() if row["run_id"] == run_id}


def is_erased_dump(uri: str, sha256: str) -> bool:
    """Return whether the file of a dump in `raw` was deleted or rewritten."""
    return sha256 in read_erasures(uri, "dump")


def count_erased(uri: str, batches: Iterable[pa.RecordBatch]) -> int:
    """Return the number of rows whose `tweet_id` was erased. Without an erasure, no row is read."""
    erased = read_erasures(uri, "tweet")
    if not erased:
        return 0
    return sum(
        hash_id(tweet_id) in erased for batch in batches for tweet_id in batch.column("tweet_id").to_pylist()
    )


def record_erasure(
    uri: str, tweet_ids: Iterable[str], dumps: Iterable[str], reason: str, run_id: str
) -> None:
    """Add the tweets and dumps that the table does not have."""
    given: dict[Subject, set[str]] = {"tweet": set(map(hash_id, tweet_ids)), "dump": set(dumps)}
    keys = [
        (subject, sha256)
        for subject, hashes in given.items()
        for sha256 in sorted(hashes - read_erasures(uri, subject))
    ]
    if not keys:
        return
    create_table(uri, ERASURES)
    now = datetime.now(UTC)
    rows = pa.Table.from_pylist(
        [dict(zip(ERASURES.column_names(), (*key, now, reason, run_id), strict=True)) for key in keys],
        schema=arrow_schema(ERASURES),
    )

    def attempt() -> None:
        table = DeltaTable(uri)
        commit_files(table, [write_file(table.table_uri, None, rows)], CommitProperties())

    retry_on_conflict(attempt)
