"""Delete superseded rows of `tweets_raw`, then compact and vacuum Delta tables.

    spark-submit spark_jobs/maintain_tables.py --tables URI,URI --tweets-raw URI --retention-hours 720

Every command is one commit and changes no current tweet, so the job can be killed and repeated at any time.
Tables that do not exist are skipped. The last line of the output is JSON.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from delta.tables import DeltaTable
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from contracts.exit_status import InputError, run_command
from contracts.retention import MIN_RETENTION
from contracts.tables import TWEETS_RAW
from spark_jobs.cleaning.current_tweets import superseded_rows
from spark_jobs.session import open_session
from spark_jobs.storage.hadoop_files import file_sizes
from spark_jobs.storage.schemas import add_missing_columns

# To open a smaller file takes longer than to read it. OPTIMIZE aims at 1 GiB.
SMALL_FILE_BYTES = 16 << 20


@dataclass(frozen=True)
class Files:
    """Files of a version of a table."""

    files: int
    small_files: int
    bytes: int


def arg_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--tables",
        required=True,
        metavar="URI,URI",
        help="tables to OPTIMIZE and VACUUM, separated by commas",
    )
    parser.add_argument(
        "--tweets-raw", metavar="URI", help="log whose superseded rows are deleted (default: none)"
    )
    parser.add_argument(
        "--retention-hours",
        required=True,
        type=parse_retention,
        dest="retention",
        metavar="N",
        help="superseded rows and older versions stay readable for this time",
    )
    return parser


def parse_retention(hours: str) -> timedelta:
    """Return the retention. Raise InputError if it is shorter than MIN_RETENTION."""
    retention = timedelta(hours=int(hours))
    if retention < MIN_RETENTION:
        raise InputError(
            f"the retention of {hours} hours is too short: running readers and writers may need the files of "
            f"{MIN_RETENTION.days} days"
        )
    return retention


def drop_superseded_rows(spark: SparkSession, uri: str, before: datetime) -> int:
    """Delete the rows of a log that were superseded before a time, and return their number.

    Rows that were current at that time stay, so that every dump loaded since then can be retracted. A dump
    that was held is loaded later than it was delivered.
    """
    log = add_missing_columns(spark.read.format("delta").load(uri), TWEETS_RAW)
    then = log.where(F.greatest("delivered_at", "ingested_at") < F.lit(before))
    superseded = superseded_rows(then).persist()
    count = superseded.count()
    if count:
        condition = "row.tweet_id = old.tweet_id and row.dump_sha256 = old.dump_sha256"
        DeltaTable.forPath(spark, uri).alias("row").merge(
            superseded.alias("old"), condition
        ).whenMatchedDelete().execute()
    superseded.unpersist()
    return count


def count_files(spark: SparkSession, uri: str) -> Files:
    """Count the files of the newest version of a table."""
    sizes = file_sizes(spark, DeltaTable.forPath(spark, uri).toDF().inputFiles())
    return Files(len(sizes), sum(size < SMALL_FILE_BYTES for size in sizes), sum(sizes))


def compact(spark: SparkSession, uri: str, retention: timedelta) -> dict[str, dict[str, int]]:
    """OPTIMIZE and VACUUM a table, and return its `Files` before and after."""
    table = DeltaTable.forPath(spark, uri)
    before = count_files(spark, uri)
    if before.small_files > 1:
        table.optimize().executeCompaction()
    table.vacuum(retention / timedelta(hours=1))
    return {"before": asdict(before), "after": asdict(count_files(spark, uri))}


def main() -> None:
    """Run the job and print its summary."""
    options = arg_parser().parse_args()
    started = time.monotonic()
    spark = open_session("maintain_tables")
    dropped = 0
    if options.tweets_raw and DeltaTable.isDeltaTable(spark, options.tweets_raw):
        dropped = drop_superseded_rows(spark, options.tweets_raw, datetime.now(UTC) - options.retention)
        print(f"tweets_raw: {dropped} superseded rows deleted")
    uris = [uri for uri in options.tables.split(",") if DeltaTable.isDeltaTable(spark, uri)]
    if not uris:
        print("none of these tables exists: ingest a dump first")
    tables = {}
    for uri in uris:
        name = uri.rsplit("/", 1)[-1]
        tables[name] = compact(spark, uri, options.retention)
        before, after = tables[name]["before"], tables[name]["after"]
        print(
            f"{name}: {before['files']} files ({before['small_files']} small) before, "
            f"{after['files']} ({after['small_files']} small) after"
        )
    summary = {
        "job": "maintain_tables",
        "rows_dropped": dropped,
        "tables": tables,
        "seconds": round(time.monotonic() - started, 1),
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    sys.exit(run_command(main))
