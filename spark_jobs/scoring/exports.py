"""What people download: for each dump a submission.csv (tweet_id, label = score in [-1, 1]) and all columns as Parquet.

A spreadsheet takes a cell that begins with = + - @, a tab or a line break for a formula. In the CSV such a tweet_id gets an apostrophe in
front, which makes it text (OWASP, *CSV Injection*); the label is a number. In the Parquet file every id is as delivered.
"""

from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

FORMULA_START = r"^[=+\-@\t\r\n\uFF1D\uFF0B\uFF0D\uFF20]"  # the last four are the full-width forms of = + - @
SHOWN_HASH = 12  # hexadecimal digits of a dump's SHA-256 in the name of a file
CSV_OPTIONS = {
    "header": "true",
    # Spark's defaults are a backslash, and to cut off blanks and tabs.
    "escape": '"',
    "ignoreLeadingWhiteSpace": "false",
    "ignoreTrailingWhiteSpace": "false",
}


def as_text(value: Column) -> Column:
    """The value, with an apostrophe in front where a spreadsheet would compute it."""
    return F.when(value.rlike(FORMULA_START), F.concat(F.lit("'"), value)).otherwise(value)


def write_exports(scored: DataFrame, folder: str) -> dict[str, str]:
    """Writes submission-<hash>.csv and scores-<hash>.parquet for each `dump_sha256` of `scored` into a folder.

    `scored` are rows of tweets_scored with `dump_sha256`. The name of each file with the dump that it is about; a retry writes the same again.
    """
    one_task_a_dump = scored.repartition("dump_sha256").sortWithinPartitions("tweet_id")
    submission = one_task_a_dump.select(
        as_text(F.col("tweet_id")).alias("tweet_id"), F.col("score").alias("label"), "dump_sha256"
    )
    part = f"{folder}/.exports"
    submission.write.mode("overwrite").partitionBy("dump_sha256").options(**CSV_OPTIONS).csv(f"{part}/csv")
    one_task_a_dump.write.mode("overwrite").partitionBy("dump_sha256").parquet(f"{part}/parquet")
    names = {f"{part}/csv": ("submission", "csv"), f"{part}/parquet": ("scores", "parquet")}
    return {
        name: dump
        for source, (prefix, suffix) in names.items()
        for name, dump in rename_files(scored, source, folder, prefix, suffix).items()
    }


def rename_files(scored: DataFrame, source: str, folder: str, prefix: str, suffix: str) -> dict[str, str]:
    """Moves the one file of each dump below `source` into `folder`, then removes `source`."""
    context = scored.sparkSession.sparkContext
    jvm: Any = context._jvm
    path = jvm.org.apache.hadoop.fs.Path
    file_system = path(folder).getFileSystem(context._jsc.hadoopConfiguration())
    named = {}
    for found in file_system.globStatus(path(f"{source}/dump_sha256=*/part-*")) or []:
        dump = found.getPath().getParent().getName().partition("=")[2]
        name = f"{prefix}-{dump[:SHOWN_HASH]}.{suffix}"
        file_system.delete(path(folder, name), False)
        if not file_system.rename(found.getPath(), path(folder, name)):
            raise OSError(f"{found.getPath()} could not be renamed to {name}")
        named[name] = dump
    file_system.delete(path(source), True)
    return named
