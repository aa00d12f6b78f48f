"""Drop superseded rows of `tweets_raw`, merge the small files of Delta tables and remove files that only old versions need.

    spark-submit spark_jobs/maintain_tables.py --tables URI,URI --tweets-raw URI --retention-hours 720

No command changes a current tweet or leaves half a change, so the job can be repeated, and killed, at any time. A table that does not exist
yet is skipped. The last line of the output is JSON.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from delta.tables import DeltaTable
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spark_jobs.cleaning.current_tweets import superseded_rows
from spark_jobs.session import open_session

# A file below this costs more to open than to read; OPTIMIZE aims at 1 GiB.
SMALL_FILE_BYTES = 16 << 20
# Delta refuses to go below without being forced: a reader or writer at work may need files of the last week.
LEAST_RETENTION_HOURS = 168


@dataclass(frozen=True)
class Files:
    """The files that make up a version of a table."""

    files: int
    small_files: int
    bytes: int


def arg_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Drop superseded rows, OPTIMIZE and VACUUM.")
    parser.add_argument(
        "--tables",
        required=True,
        metavar="URI,URI",
        help="the tables to OPTIMIZE and VACUUM, separated by commas",
    )
    parser.add_argument(
        "--tweets-raw", required=True, metavar="URI", help="the log whose superseded rows are dropped"
    )
    parser.add_argument(
        "--retention-hours",
        required=True,
        type=retention,
        metavar="N",
        help="superseded rows and older versions stay readable this long",
    )
    return parser


def retention(text: str) -> int:
    """The retention in hours; an error below Delta's own floor."""
    hours = int(text)
    if hours < LEAST_RETENTION_HOURS:
        raise argparse.ArgumentTypeError(
            f"{hours} hours: at least {LEAST_RETENTION_HOURS} are needed, a week, for readers and writers at work"
        )
    return hours


def drop_superseded_rows(spark: SparkSession, uri: str, delivered_before: datetime) -> int:
    """Deletes the rows of the log at `uri` that other rows delivered before that time supersede; how many.

    What was current at that time stays, so that any dump delivered since can still be retracted.
    """
    log = spark.read.format("delta").load(uri)
    superseded = superseded_rows(log.where(F.col("delivered_at") < F.lit(delivered_before))).persist()
    count = superseded.count()
    if count:
        condition = "row.tweet_id = old.tweet_id and row.dump_sha256 = old.dump_sha256"
        DeltaTable.forPath(spark, uri).alias("row").merge(
            superseded.alias("old"), condition
        ).whenMatchedDelete().execute()
    superseded.unpersist()
    return count


def count_files(spark: SparkSession, uri: str) -> Files:
    """How many files the newest version at `uri` has, how many of them are small, and their bytes."""
    jvm: Any = spark.sparkContext._jvm  # Spark itself has no Python interface to file sizes
    configuration = spark.sparkContext._jsc.hadoopConfiguration()
    paths = [
        jvm.org.apache.hadoop.fs.Path(file) for file in DeltaTable.forPath(spark, uri).toDF().inputFiles()
    ]
    sizes = [path.getFileSystem(configuration).getFileStatus(path).getLen() for path in paths]
    return Files(len(sizes), sum(size < SMALL_FILE_BYTES for size in sizes), sum(sizes))


def compact(spark: SparkSession, uri: str, retention_hours: int) -> dict[str, dict[str, int]]:
    """OPTIMIZE and VACUUM for the table at `uri`; its files before and after."""
    table = DeltaTable.forPath(spark, uri)
    before = count_files(spark, uri)
    if before.small_files > 1:
        table.optimize().executeCompaction()
    table.vacuum(retention_hours)
    return {"before": asdict(before), "after": asdict(count_files(spark, uri))}


def main(arguments: Sequence[str] | None = None) -> None:
    options = arg_parser().parse_args(arguments)
    started = time.monotonic()
    spark = open_session("maintain_tables")
    dropped = 0
    if DeltaTable.isDeltaTable(spark, options.tweets_raw):
        delivered_before = datetime.now(UTC) - timedelta(hours=options.retention_hours)
        dropped = drop_superseded_rows(spark, options.tweets_raw, delivered_before)
        print(f"tweets_raw: {dropped} superseded rows dropped")
    uris = [uri for uri in options.tables.split(",") if DeltaTable.isDeltaTable(spark, uri)]
    if not uris:
        print("none of these tables exists yet: there is nothing to do before the first dump")
    tables = {}
    for uri in uris:
        name = uri.rsplit("/", 1)[-1]
        tables[name] = compact(spark, uri, options.retention_hours)
        before, after = tables[name]["before"], tables[name]["after"]
        print(
            f"{name}: {before['files']} files ({before['small_files']} small) before, {after['files']} ({after['small_files']} small) after"
        )
    summary = {
        "job": "maintain_tables",
        "rows_dropped": dropped,
        "tables": tables,
        "seconds": round(time.monotonic() - started, 1),
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
