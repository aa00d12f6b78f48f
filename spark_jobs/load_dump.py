"""Load one dump of tweets: every record of it ends in `tweets_raw`, counts as a duplicate, or lies in `quarantine` with its reason.

    spark-submit spark_jobs/load_dump.py --dump hdfs://.../raw/<sha256>.csv --source TEXT --run-id TEXT --tweets-raw URI --quarantine URI --dumps URI

Commits in this order: this dump's slice of `quarantine`, its corrections in `tweets_raw`, its new tweets there, the row in `dumps`. Each can be
repeated, so a retry after a death anywhere gives the tables and counts of an undisturbed run; a dump that has its row is left alone. Columns that
a dump does not have keep the table's values; otherwise the newest dump wins. The last line of the output is JSON.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from delta.tables import DeltaTable
from pyspark import StorageLevel
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from spark_jobs.dump_file import POSITION_BITS, REFUSED, DumpFile, dump_sha256, judge_records, open_dump, row_numbers
from spark_jobs.packed_ids import BUCKET_BYTES, superseded_positions, unpack
from spark_jobs.record_rules import RefusedDumpError
from spark_jobs.schemas import DUMPS, QUARANTINE, TWEETS_RAW
from spark_jobs.session import open_session

# Below this many, quarantined records go into one file.
SMALL_QUARANTINE = 100_000
# Up to this many ids, some ten bytes each, are sent to every task instead of sorting the tweets by id.
MOST_BROADCAST = 1_000_000
# And of whole tweets, some hundred bytes each.
MOST_BROADCAST_TWEETS = 100_000

TABLE_PROPERTIES = {
    # clean_tweets reads what has changed.
    "delta.enableChangeDataFeed": "true",
    # A correction marks the old row instead of writing its whole file anew.
    "delta.enableDeletionVectors": "true",
    # Smallest and largest values of ids and texts, which are in no order, help nobody and cost a fifth of the writing.
    "delta.dataSkippingStatsColumns": "dump_sha256",
}


@dataclass
class Summary:
    """What became of a dump; records = accepted + duplicates + quarantined."""

    dump_sha256: str
    records: int
    accepted: int
    duplicates: int
    quarantined: int
    already_loaded: bool
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0


def arg_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Load one dump of tweets into tweets_raw, quarantine and dumps.")
    parser.add_argument("--dump", required=True, metavar="URI", help="the dump, named <sha256 of its bytes>.csv; its content may be gzip")
    parser.add_argument("--source", required=True, metavar="TEXT", help="where the dump came from, for the dumps table")
    parser.add_argument("--run-id", required=True, metavar="TEXT", help="the run that loads it, for the dumps table")
    parser.add_argument("--tweets-raw", required=True, metavar="URI")
    parser.add_argument("--quarantine", required=True, metavar="URI")
    parser.add_argument("--dumps", required=True, metavar="URI")
    return parser


def open_table(spark: SparkSession, uri: str, schema: StructType) -> DeltaTable:
    """The Delta table at `uri`, created with TABLE_PROPERTIES where there is none."""
    if not DeltaTable.isDeltaTable(spark, uri):
        try:
            new_table = DeltaTable.createIfNotExists(spark).location(uri).addColumns(schema)
            for name, value in TABLE_PROPERTIES.items():
                new_table = new_table.property(name, value)
            new_table.execute()
        except PySparkException:
            # Another run may have created it in the meantime; if not, the error stands.
            if not DeltaTable.isDeltaTable(spark, uri):
                raise
    return DeltaTable.forPath(spark, uri)


def few(rows: DataFrame, count: int) -> DataFrame:
    """`rows` as one side of a join: sent to every task unless there are too many, so that the texts on the other side stay where they are."""
    return F.broadcast(rows) if count <= (MOST_BROADCAST_TWEETS if "safe_text" in rows.columns else MOST_BROADCAST) else rows


def last_of_each_id(tweets: DataFrame, packed: DataFrame) -> DataFrame:
    """`tweets` without those that come again, with the same id, later in the dump."""
    superseded = superseded_positions(packed).persist()
    count = superseded.count()
    return tweets.join(few(superseded, count), on="position", how="left_anti") if count else tweets


def quarantined_records(packed: DataFrame, dump: DumpFile, first_of_block: dict[int, int]) -> DataFrame:
    """The bad records of `packed` in the columns of QUARANTINE."""
    other = F.coalesce(F.concat(F.lit(" "), row_numbers(first_of_block, F.col("other_position"))), F.lit(""))
    return packed.where(F.col("reason").isNotNull()).select(
        F.lit(dump.sha256).alias("dump_sha256"),
        row_numbers(first_of_block, F.col("position")).alias("row_number"),
        F.col("raw_record"),
        F.concat(F.col("reason"), other).alias("reason"),
    )


def count_by_block(packed: DataFrame) -> tuple[dict[int, int], int, int]:
    """The number, from 1, of the first record of each block, how many records there are, and how many of them are bad.

    Raises RefusedDumpError where reading the dump to its end has shown that it cannot be loaded.
    """
    block = F.shiftright("position", POSITION_BITS).alias("block")
    counts = (
        packed.groupBy(block)
        .agg(F.sum(F.coalesce("tweets", F.lit(1))).alias("records"), F.count("reason").alias("bad"))
        .orderBy("block")
        .collect()
    )
    if counts and counts[0].block < 0:
        raise RefusedDumpError(packed.where(F.col("position") == REFUSED).collect()[0].reason)
    first_of_block, records = {}, 0
    for row in counts:
        first_of_block[row.block] = records + 1
        records += row.records
    if not records:
        raise RefusedDumpError("it has a header and no records")
    return first_of_block, records, sum(row.bad for row in counts)


def write_quarantine(uri: str, bad_records: DataFrame, sha256: str, count: int) -> None:
    """Replace this dump's slice of the quarantine by `bad_records`."""
    if count < SMALL_QUARANTINE:
        bad_records = bad_records.coalesce(1)
    bad_records.write.format("delta").mode("overwrite").option("replaceWhere", f"dump_sha256 = '{sha256}'").save(uri)


def write_tweets(table_uri: str, tweets: DataFrame, ids: DataFrame, count: int, dump: DumpFile) -> None:
    """Correct what is different in `tweets`, then append what is new: two commits, each of which does nothing more when it is repeated.

    `ids` has their tweet_id, at less cost, and no more than `count` rows. One merge of both would join whole tables and write each new tweet
    twice, for the change data feed.
    """
    spark = tweets.sparkSession
    stored = spark.read.format("delta").load(table_uri)
    values = [
        *map(F.col, ("tweet_id", "safe_text", "label", "agreement")),
        F.lit(dump.sha256).alias("dump_sha256"),
        F.current_timestamp().alias("ingested_at"),
    ]
    known = stored.select("tweet_id").join(few(ids, count), on="tweet_id", how="left_semi").persist()
    known_count = 0 if stored.isEmpty() else known.count()
    if known_count:
        of_known = tweets.join(few(known, known_count), on="tweet_id", how="left_semi")
        correct_tweets(table_uri, few(of_known.select(values), known_count), dump)
        tweets = tweets.join(few(known, known_count), on="tweet_id", how="left_anti")
    tweets.select(values).write.format("delta").mode("append").save(table_uri)


def correct_tweets(table_uri: str, tweets: DataFrame, dump: DumpFile) -> None:
    """Replace the values of known tweets by those of `tweets` where they differ, in the columns that the dump has."""
    spark = tweets.sparkSession
    columns = ["safe_text", *(name for name in ("label", "agreement") if getattr(dump.layout, name) is not None)]
    differs: Column = F.lit(False)
    for name in columns:
        differs |= ~F.col(f"old.{name}").eqNullSafe(F.col(f"new.{name}"))
    stored = spark.read.format("delta").load(table_uri).alias("old")
    changed = stored.join(tweets.alias("new"), on=F.col("old.tweet_id") == F.col("new.tweet_id")).where(differs).select("new.*").persist()
    changed_count = changed.count()
    if not changed_count:
        return
    # Delta would first write them to disk, in case that they are others when it reads them again; the same bytes give the same tweets.
    spark.conf.set("spark.databricks.delta.merge.materializeSource", "none")
    (
        DeltaTable.forPath(spark, table_uri)
        .alias("old")
        .merge(few(changed, changed_count).alias("new"), "old.tweet_id = new.tweet_id")
        .whenMatchedUpdate(set={name: f"new.{name}" for name in (*columns, "dump_sha256", "ingested_at")})
        .execute()
    )


def record_dump(table: DeltaTable, summary: Summary, dump: DumpFile, source: str, run_id: str) -> None:
    """Write the row that says that the dump is loaded."""
    counts = {name: value for name, value in asdict(summary).items() if name in DUMPS.names}
    values = counts | {"source": source, "bytes": dump.bytes, "run_id": run_id}
    row = (
        SparkSession.active()
        .range(1)
        .select(
            *(F.lit(value).cast(DUMPS[name].dataType).alias(name) for name, value in values.items()),
            F.current_timestamp().alias("ingested_at"),
        )
    )
    table.alias("old").merge(row.alias("new"), "old.dump_sha256 = new.dump_sha256").whenNotMatchedInsertAll().execute()


def load(spark: SparkSession, options: argparse.Namespace) -> Summary:
    """Load the dump. Raises RefusedDumpError where it cannot be loaded at all, and then nothing is written."""
    sha256 = dump_sha256(options.dump)
    if DeltaTable.isDeltaTable(spark, options.dumps):
        for row in DeltaTable.forPath(spark, options.dumps).toDF().where(F.col("dump_sha256") == sha256).collect():
            return Summary(sha256, row.records, row.accepted, row.duplicates, row.quarantined, already_loaded=True)
    dump = open_dump(spark, options.dump)
    judged = judge_records(spark, dump)
    # Reading the texts a second time costs less than keeping them.
    packed = judged.packed(buckets=dump.bytes // BUCKET_BYTES + 1).persist(StorageLevel.MEMORY_AND_DISK)
    first_of_block, records, bad = count_by_block(packed)
    tweets_raw = open_table(spark, options.tweets_raw, TWEETS_RAW)
    open_table(spark, options.quarantine, QUARANTINE)
    dumps = open_table(spark, options.dumps, DUMPS)

    if bad:
        write_quarantine(options.quarantine, quarantined_records(packed, dump, first_of_block), sha256, bad)
    write_tweets(options.tweets_raw, last_of_each_id(judged.tweets(), packed), unpack(packed), records - bad, dump)
    # What stands in the table under this dump's name is what it gave, whether this try wrote it or one that died before.
    accepted = tweets_raw.toDF().where(F.col("dump_sha256") == sha256).count()
    summary = Summary(sha256, records, accepted, records - bad - accepted, bad, already_loaded=False, notes=dump.layout.notes)
    record_dump(dumps, summary, dump, options.source, options.run_id)
    packed.unpersist()
    return summary


def main(arguments: Sequence[str] | None = None) -> None:
    options = arg_parser().parse_args(arguments)
    started = time.monotonic()
    spark = open_session("load_dump")
    try:
        summary = load(spark, options)
    except RefusedDumpError as error:
        print(f"load_dump: error: {options.dump} is refused, nothing was written: {error}", file=sys.stderr)
        sys.exit(os.EX_DATAERR)  # the input is wrong, not the program: who started the job need not try again
    summary.seconds = round(time.monotonic() - started, 1)
    for note in summary.notes:
        print(f"note: {note}")
    if summary.already_loaded:
        print(f"{options.dump} is already loaded; nothing was written.")
    print(
        f"{summary.records} records = {summary.accepted} accepted + {summary.duplicates} duplicates + {summary.quarantined} quarantined, "
        f"in {summary.seconds} s"
    )
    print(json.dumps(asdict(summary)))


if __name__ == "__main__":
    main()
