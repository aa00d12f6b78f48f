"""Queries on the tables."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder

from loading.tables.schemas import Tables


def query(table: DeltaTable, sql: str) -> pa.RecordBatchReader:
    """Return the rows of a query on a table as a stream. The query refers to the table as `t`."""
    return pa.RecordBatchReader.from_stream(QueryBuilder().register("t", table).execute(sql))


def read_delivery_time(tables: Tables, sha256: str) -> datetime | None:
    """Return the delivery time of a dump in `tweets_raw`, or None if it has no rows there."""
    sql = f"SELECT min(delivered_at) AS delivered_at FROM t WHERE dump_sha256 = '{sha256}'"  # noqa: S608 (a hash)
    [row] = query(DeltaTable(tables.tweets_raw), sql).read_all().to_pylist()
    moment: datetime | None = row["delivered_at"]
    return moment


def hash_strings(values: pa.Array) -> npt.NDArray[np.uint64]:
    """Return a 64-bit hash of each value. It is the same within a process only."""
    hashes: npt.NDArray[np.uint64] = pl.Series(values=values).hash().to_numpy()
    return hashes


def compare_with_earlier(
    tables: Tables,
    sorted_id_hashes: npt.NDArray[np.uint64],
    tweets: Callable[[], Iterable[pa.RecordBatch]],
    delivered_at: datetime,
    sha256: str,
) -> tuple[int, int]:
    """Compare a dump with the rows of earlier deliveries in `tweets_raw`.

    Return the number of its ids that they contain, and the number of those whose text they do not contain.
    Ids and texts are compared by 64-bit hashes. For 10 million ids in a log of 100 million rows, the
    probability that a count is wrong by one is 1 in 20,000. Texts are read only if the log contains one of
    the ids, because they are ten times as large as the ids.

    Args:
        tables: the tables.
        sorted_id_hashes: hashes of the distinct ids of the dump, ascending.
        tweets: returns the tweets of the dump, each id once.
        delivered_at: delivery time of the dump.
        sha256: hash of the dump.
    """
    if not len(sorted_id_hashes) or not DeltaTable.is_deltatable(tables.tweets_raw):
        return 0, 0
    table = DeltaTable(tables.tweets_raw)
    moment = f"TIMESTAMP '{delivered_at.isoformat()}'"
    is_earlier = f"delivered_at < {moment} OR (delivered_at = {moment} AND dump_sha256 < '{sha256}')"

    def find_rows(
        columns: str, ids: npt.NDArray[np.uint64]
    ) -> Iterator[tuple[pl.DataFrame, npt.NDArray[np.int64]]]:
        for batch in query(table, f"SELECT {columns} FROM t WHERE {is_earlier}"):  # noqa: S608 (a time and a hash)
            yield select_ids(batch, ids)

    seen_before = np.zeros(len(sorted_id_hashes), dtype=bool)
    for _, positions in find_rows("tweet_id", sorted_id_hashes):
        seen_before[positions] = True
    known = sorted_id_hashes[seen_before]
    if not len(known):
        return 0, 0
    text_hashes = np.zeros(len(known), np.uint64)
    for batch in tweets():
        rows, positions = select_ids(batch.select(["tweet_id", "safe_text"]), known)
        text_hashes[positions] = rows["safe_text"].hash().to_numpy()
    has_same_text = np.zeros(len(known), dtype=bool)
    for rows, positions in find_rows("tweet_id, safe_text", known):
        is_same = rows["safe_text"].hash().to_numpy() == text_hashes[positions]
        has_same_text[positions[is_same]] = True
    return len(known), len(known) - int(np.count_nonzero(has_same_text))


def select_ids(
    batch: pa.RecordBatch, sorted_id_hashes: npt.NDArray[np.uint64]
) -> tuple[pl.DataFrame, npt.NDArray[np.int64]]:
    """Return the rows of a batch whose `tweet_id` has one of the hashes, and the position of the hash."""
    hashes = hash_strings(batch.column("tweet_id"))
    positions = np.minimum(np.searchsorted(sorted_id_hashes, hashes), len(sorted_id_hashes) - 1)
    is_found = sorted_id_hashes[positions] == hashes
    return pl.DataFrame(batch).filter(is_found), positions[is_found]
