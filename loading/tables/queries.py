"""Queries on the tables."""

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


def hash_ids(ids: pa.Array) -> npt.NDArray[np.uint64]:
    """Return a 64-bit hash of each id."""
    hashes: npt.NDArray[np.uint64] = pl.Series(values=ids).hash().to_numpy()
    return hashes


def count_seen_before(
    tables: Tables, sorted_id_hashes: npt.NDArray[np.uint64], delivered_at: datetime, sha256: str
) -> int:
    """Return the number of ids of a dump that `tweets_raw` contains from earlier deliveries.

    Ids are compared by 64-bit hashes. For 10 million ids in a log of 100 million rows, the probability that
    the count is wrong by one is 1 in 20,000.
    """
    if not len(sorted_id_hashes):
        return 0
    moment = f"TIMESTAMP '{delivered_at.isoformat()}'"
    is_earlier = f"delivered_at < {moment} OR (delivered_at = {moment} AND dump_sha256 < '{sha256}')"
    sql = f"SELECT tweet_id FROM t WHERE {is_earlier}"  # noqa: S608 (a time and a hash)
    seen_before = np.zeros(len(sorted_id_hashes), dtype=bool)
    for batch in query(DeltaTable(tables.tweets_raw), sql):
        logged = hash_ids(batch.column("tweet_id"))
        positions = np.minimum(np.searchsorted(sorted_id_hashes, logged), len(sorted_id_hashes) - 1)
        # searchsorted finds the first position of a hash, so an id that the dump repeats is counted once.
        seen_before[positions[sorted_id_hashes[positions] == logged]] = True
    return int(np.count_nonzero(seen_before))
