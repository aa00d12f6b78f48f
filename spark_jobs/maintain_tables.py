"""Merge the small files of Delta tables and remove files that only old versions need.

    spark-submit spark_jobs/maintain_tables.py --tables URI,URI --retention-hours 720

OPTIMIZE and VACUUM leave the newest version as it is, so the job can be repeated, and killed, at any time. A table that does not exist yet is
passed over. The last line of the output is JSON.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from delta.tables import DeltaTable
from pyspark.sql import SparkSession

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
    parser = argparse.ArgumentParser(description="OPTIMIZE and VACUUM Delta tables.")
    parser.add_argument("--tables", required=True, metavar="URI,URI", help="the tables, separated by commas")
    parser.add_argument("--retention-hours", required=True, type=retention, metavar="N", help="older versions stay readable this long")
    return parser


def retention(text: str) -> int:
    """The retention in hours; an error below Delta's own floor."""
    hours = int(text)
    if hours < LEAST_RETENTION_HOURS:
        raise argparse.ArgumentTypeError(
            f"{hours} hours: at least {LEAST_RETENTION_HOURS} are needed, a week, for readers and writers at work"
        )
    return hours


def count_files(spark: SparkSession, uri: str) -> Files:
    """How many files the newest version at `uri` has, how many of them are small, and their bytes."""
    jvm: Any = spark.sparkContext._jvm  # Spark itself has no Python interface to file sizes
    configuration = spark.sparkContext._jsc.hadoopConfiguration()
    paths = [jvm.org.apache.hadoop.fs.Path(file) for file in DeltaTable.forPath(spark, uri).toDF().inputFiles()]
    sizes = [path.getFileSystem(configuration).getFileStatus(path).getLen() for path in paths]
    return Files(len(sizes), sum(size < SMALL_FILE_BYTES for size in sizes), sum(sizes))


def maintain(spark: SparkSession, uri: str, retention_hours: int) -> dict[str, dict[str, int]]:
    """Tidy the table at `uri`; return its files before and after."""
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
    uris = [uri for uri in options.tables.split(",") if DeltaTable.isDeltaTable(spark, uri)]
    if not uris:
        print("none of these tables exists yet: there is nothing to tidy before the first dump")
    tables = {}
    for uri in uris:
        name = uri.rsplit("/", 1)[-1]
        tables[name] = maintain(spark, uri, options.retention_hours)
        before, after = tables[name]["before"], tables[name]["after"]
        print(
            f"{name}: {before['files']} files ({before['small_files']} small) before, {after['files']} ({after['small_files']} small) after"
        )
    print(json.dumps({"job": "maintain_tables", "tables": tables, "seconds": round(time.monotonic() - started, 1)}))


if __name__ == "__main__":
    main()
