"""Write files for download: a CSV (tweet_id, label = score in [-1, 1]) and a Parquet file for each dump.

In the CSV a tweet_id that a spreadsheet would evaluate as a formula gets an apostrophe in front. The Parquet
file has all ids as delivered. Another CSV has tweets to label.
"""

import csv
import io
from collections.abc import Iterable
from pathlib import PurePosixPath

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from contracts.delivered_names import HASH_DIGITS_SHOWN
from contracts.texts import FORMULA_START, TEXT_PREFIX
from spark_jobs.storage import hadoop_files

TO_LABEL = "to-label.csv"
CSV_OPTIONS = {
    "header": "true",
    # By default Spark escapes quotes with a backslash and trims blanks and tabs.
    "escape": '"',
    "ignoreLeadingWhiteSpace": "false",
    "ignoreTrailingWhiteSpace": "false",
}


def as_text(value: Column) -> Column:
    """Return the value, with TEXT_PREFIX if a spreadsheet would evaluate it."""
    return F.when(value.rlike(FORMULA_START), F.concat(F.lit(TEXT_PREFIX), value)).otherwise(value)


def write_exports(scored: DataFrame, folder: str) -> dict[str, str]:
    """Write submission-<hash>.csv and scores-<hash>.parquet for each dump. A retry replaces them.

    Args:
        scored: rows of tweets_scored with `dump_sha256`.
        folder: folder of the files.

    Returns:
        The dump of each file name.
    """
    one_task_per_dump = scored.repartition("dump_sha256").sortWithinPartitions("tweet_id")
    submission = one_task_per_dump.select(
        as_text(F.col("tweet_id")).alias("tweet_id"), F.col("score").alias("label"), "dump_sha256"
    )
    parts = f"{folder}/.exports"
    csv, parquet = f"{parts}/csv", f"{parts}/parquet"
    submission.write.mode("overwrite").partitionBy("dump_sha256").options(**CSV_OPTIONS).csv(csv)
    one_task_per_dump.write.mode("overwrite").partitionBy("dump_sha256").parquet(parquet)
    spark = scored.sparkSession
    dump_of_file = {}
    for source, prefix, suffix in ((csv, "submission", "csv"), (parquet, "scores", "parquet")):
        for part in hadoop_files.glob(spark, f"{source}/dump_sha256=*/part-*"):
            dump = PurePosixPath(part).parent.name.partition("=")[2]
            name = f"{prefix}-{dump[:HASH_DIGITS_SHOWN]}.{suffix}"
            hadoop_files.rename_overwriting(spark, part, f"{folder}/{name}")
            dump_of_file[name] = dump
    hadoop_files.delete(spark, parts)
    return dump_of_file


def format_tweets_to_label(rows: Iterable[tuple[str, str]]) -> bytes:
    """Return a dump in CSV with an empty column `label`. `rows` are tweet_id and text."""
    file = io.StringIO()
    csv.writer(file).writerows([("tweet_id", "text", "label"), *((*row, None) for row in rows)])
    return file.getvalue().encode()
