"""Ids in packed rows: none is lost, and those that come again are found."""

import random

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from spark_jobs import packed_ids
from spark_jobs.packed_ids import ARROW_PACKED, PACKED, bucket_numbers, pack, superseded_positions, unpack
from spark_jobs.parse_dump import ARROW_SCHEMA


def judged(records: list[tuple[str | None, int]]) -> pa.RecordBatch:
    """Records at positions; one without an id is a bad one."""
    rows = [{"tweet_id": i, "position": p} if i else {"position": p, "raw_record": f"bad {p}", "reason": "why"} for i, p in records]
    return pa.RecordBatch.from_pylist(rows, schema=ARROW_SCHEMA)


@pytest.fixture
def records() -> list[tuple[str | None, int]]:
    draw = random.Random(1)
    ids: list[str | None] = [draw.choice("AB") + str(draw.randrange(700)) for _ in range(1000)]
    ids[100::97] = [None] * len(ids[100::97])
    return [(tweet_id, 5 * n) for n, tweet_id in enumerate(ids)]


@pytest.mark.parametrize("at_once", [1, 70, 10_000])
def test_the_last_of_each_id_is_what_is_not_superseded(spark: SparkSession, records, at_once, monkeypatch) -> None:
    monkeypatch.setattr(packed_ids, "IDS_AT_ONCE", at_once)
    batches = [judged(records[start : start + 150]) for start in range(0, len(records), 150)]
    rows = [row for batch in pack(batches, buckets=7) for row in batch.to_pylist()]
    packed = spark.createDataFrame([tuple(row[name] for name in PACKED.names) for row in rows], PACKED)

    tweets = {position: tweet_id for tweet_id, position in records if tweet_id}
    last = {tweet_id: position for position, tweet_id in tweets.items()}
    assert {row.position for row in superseded_positions(packed).collect()} == set(tweets) - set(last.values())
    assert {row.position: row.tweet_id for row in unpack(packed).collect()} == tweets
    assert sum(row["tweets"] or 0 for row in rows) == len(tweets)
    assert {row["position"]: (row["raw_record"], row["reason"]) for row in rows if row["reason"]} == {
        position: (f"bad {position}", "why") for tweet_id, position in records if not tweet_id
    }


def test_rows_have_the_types_that_spark_is_told(records) -> None:
    [first, *_] = pack([judged(records)], buckets=2)
    assert first.schema == ARROW_PACKED
    assert ARROW_PACKED.names == PACKED.names


def test_equal_ids_fall_into_one_bucket_wherever_they_stand() -> None:
    ids = pa.array(["A", "B12345", "x" * 64, "A", "12", "B12345"])
    numbers = bucket_numbers(ids, 1000).tolist()
    assert numbers[0] == numbers[3]
    assert numbers[1] == numbers[5]
    assert bucket_numbers(ids.slice(3), 1000).tolist() == numbers[3:]
    assert len(set(numbers)) == 4


def test_ids_are_spread_over_the_buckets() -> None:
    numbers = bucket_numbers(pa.array([str(1_060_000_000_000_000_000 + 37 * n) for n in range(16_000)]), 16)
    counts = [(numbers == bucket).sum() for bucket in range(16)]
    assert min(counts) > 500
    assert max(counts) < 2_000
