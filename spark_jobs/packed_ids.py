"""The ids of a dump's tweets, packed: a row holds those of thousands of tweets, so that Spark moves them in blocks instead of one by one.

Finding the ids that come twice costs a third of what Spark's own grouping of single rows costs (docs/benchmarks.md).
"""

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import BinaryType, IntegerType, LongType, StringType, StructField, StructType

# A row is either the ids of `tweets` tweets, the first of them at `position`, that fall into one bucket, or one bad record.
PACKED = StructType(
    [
        StructField("position", LongType()),
        StructField("bucket", IntegerType()),
        StructField("tweets", LongType()),
        StructField("ids", BinaryType()),
        StructField("raw_record", StringType()),
        StructField("reason", StringType()),
        StructField("other_position", LongType()),
    ]
)
ARROW_PACKED = to_arrow_schema(PACKED)
IDS = pa.schema([("tweet_id", pa.string()), ("position", pa.int64())])
# So many ids, some twenty bytes each, are sorted into buckets at a time.
IDS_AT_ONCE = 500_000
# One bucket for so many bytes of a dump: what one task looks at in one go.
BUCKET_BYTES = 64 * 2**20


def pack(batches: Iterable[pa.RecordBatch], buckets: int) -> Iterator[pa.RecordBatch]:
    """Rows of PACKED from judged records (parse_dump.ARROW_SCHEMA)."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        is_bad = pc.is_valid(batch.column("reason"))
        if pc.any(is_bad).as_py():
            yield _rows_of_bad_records(batch.filter(is_bad))
            batch = batch.filter(pc.invert(is_bad))
        waiting.append(batch.select(["tweet_id", "position"]))
        if sum(len(ids) for ids in waiting) >= IDS_AT_ONCE:
            yield from _rows_of_ids(waiting, buckets)
            waiting = []
    yield from _rows_of_ids(waiting, buckets)


def _rows_of_bad_records(bad: pa.RecordBatch) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [bad.column(field.name) if field.name in bad.schema.names else pa.nulls(len(bad), field.type) for field in ARROW_PACKED],
        schema=ARROW_PACKED,
    )


def _rows_of_ids(batches: list[pa.RecordBatch], buckets: int) -> Iterator[pa.RecordBatch]:
    ids = pa.Table.from_batches(batches, IDS).combine_chunks()
    bucket_of = bucket_numbers(ids.column("tweet_id").combine_chunks(), buckets)
    for bucket in np.unique(bucket_of).tolist():
        chosen = ids.filter(pa.array(bucket_of == bucket))
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, IDS) as stream:
            stream.write_table(chosen)
        row = {
            "position": chosen.column("position")[0].as_py(),
            "bucket": bucket,
            "tweets": len(chosen),
            "ids": sink.getvalue().to_pybytes(),
        }
        yield pa.RecordBatch.from_pylist([row], schema=ARROW_PACKED)


def bucket_numbers(ids: pa.Array, buckets: int) -> np.ndarray:
    """A bucket from 0 to `buckets` - 1 for each of `ids` (none empty), the same for equal ids; by the last bytes, which differ most."""
    if not len(ids):
        return np.zeros(0, dtype=np.int64)
    offsets = np.frombuffer(ids.buffers()[1], dtype=np.int32)[ids.offset : ids.offset + len(ids) + 1].astype(np.int64)
    bytes_ = np.frombuffer(ids.buffers()[2], dtype=np.uint8)
    mixed = np.zeros(len(ids), dtype=np.int64)
    for back in range(1, 5):
        place = offsets[1:] - back
        inside = place >= offsets[:-1]
        mixed = mixed * 61 + np.where(inside, bytes_[np.maximum(place, 0)], 0)
    return mixed % buckets


def unpack(packed: DataFrame) -> DataFrame:
    """tweet_id and position of each tweet."""

    def rows(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for ids in batch.column("ids"):
                yield from _read(ids.as_py()).to_batches()

    return packed.where("ids IS NOT NULL").select("ids").mapInArrow(rows, "tweet_id string, position long")


def superseded_positions(packed: DataFrame) -> DataFrame:
    """`position` of each tweet whose id comes again later in the dump."""

    def in_bucket(rows: pd.DataFrame) -> pd.DataFrame:
        ids = pa.concat_tables(_read(packed_ids) for packed_ids in rows["ids"])
        last = ids.group_by("tweet_id").aggregate([("position", "max"), ("position", "count")])
        last = last.filter(pc.greater(last.column("position_count"), 1))
        repeated = ids.filter(pc.is_in(ids.column("tweet_id"), last.column("tweet_id").combine_chunks()))
        positions = repeated.column("position").filter(
            pc.invert(pc.is_in(repeated.column("position"), last.column("position_max").combine_chunks()))
        )
        return pd.DataFrame({"position": positions.to_numpy()})

    return packed.where("ids IS NOT NULL").select("bucket", "ids").groupBy("bucket").applyInPandas(in_bucket, "position long")


def _read(packed_ids: bytes) -> pa.Table:
    with pa.ipc.open_stream(packed_ids) as stream:
        return stream.read_all()
