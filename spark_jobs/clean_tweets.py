"""Cleans the current tweets of `tweets_raw` into `tweets_clean`.

    spark-submit spark_jobs/clean_tweets.py --tweets-raw URI --tweets-clean URI

`tweets_clean` is a function of the current tweets (cleaning/current_tweets.py) and of the rules (cleaning/token_rules.py). The change data
feed of `tweets_raw` names the tweets that may have changed; only rows that really differ are written. Other rules (RULES) clean everything
again. A retry is a no-op. The last line of the output is JSON.
"""

import argparse
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from spark_jobs.cleaning import rows, split, stems, token_rules
from spark_jobs.cleaning.current_tweets import CURRENT_TWEET, current_tweets
from spark_jobs.read_position import (
    ReadPosition,
    changed_keys,
    changes_are_kept,
    file_statistics,
    last_position,
    newest_snapshot,
    position_at,
    record_position,
    recorded,
    require_version,
    written_once,
)
from spark_jobs.schemas import TWEETS_CLEAN
from spark_jobs.session import open_session

STAGE = "clean_tweets"
SETTINGS = {
    # The larger the batch, the more often a token comes again in it: 10 % less processor time than with Spark's default of 10,000 rows.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "100000",
    # MERGE writes rows and change feed as two partitions. With the default of 0 Spark sorts all rows by partition first.
    "spark.sql.maxConcurrentOutputFileWriters": "2",
}
# What a row of tweets_clean depends on besides its tweet.
RULES = f"rules {token_rules.RULES_VERSION}, stems {stems.STEMS_VERSION}, salt {split.SALT}"

# Delta keeps the smallest and largest value of these in each file. Nobody looks for a range of texts, and comparing them takes time.
STATISTICS_COLUMNS = "tweet_id,label,split,dump_sha256"


# Corrections up to so many are sent to every task: some 10 MB.
BROADCAST_ROWS = 10_000


def arg_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tweets-raw", required=True, metavar="URI", help="Delta table to read")
    parser.add_argument("--tweets-clean", required=True, metavar="URI", help="Delta table to write")
    return parser


def clean(tweets: DataFrame) -> DataFrame:
    """The rows of `tweets_clean` for CURRENT_TWEET rows."""
    tweets = tweets.select(*CURRENT_TWEET)
    with_words = tweets.mapInArrow(rows.find_tokens("safe_text"), rows.TURN)
    with_stems = with_words.withColumn("stems", F.transform("words", stems.stem))
    cleaned = with_stems.mapInArrow(rows.join_tokens, StructType([*tweets.schema, *rows.CLEANED_TEXT]))
    text_group = split.text_group(F.lower("normalised"))
    columns = {
        "label": F.col("label").cast("int"),
        "hashtags": F.transform("hashtags", F.lower),
        "text_group": text_group,
        "split": split.split(text_group, F.col("label")),
    }
    return cleaned.select(
        *(columns[name].alias(name) if name in columns else name for name in TWEETS_CLEAN.names)
    )


def compare(tweets: DataFrame, cleaned: DataFrame) -> DataFrame:
    """The tweets whose row in `tweets_clean` is not that of the current tweet: CURRENT_TWEET and `change`: insert, update or delete.

    Both sides are CURRENT_TWEET rows; of a deleted tweet only the id is left.
    """
    content = F.struct("safe_text", F.col("label").cast("int").alias("label"), "agreement", "dump_sha256")
    now, before = (
        tweets.select("tweet_id", content.alias("now")),
        cleaned.select("tweet_id", content.alias("before")),
    )
    change = (
        F.when(F.col("before").isNull(), "insert").when(F.col("now").isNull(), "delete").otherwise("update")
    )
    differing = now.join(before, "tweet_id", how="full_outer").where(
        ~F.col("now").eqNullSafe(F.col("before"))
    )
    return differing.select("tweet_id", "now.*", change.alias("change"))


def read_log(spark: SparkSession, uri: str, version: int) -> DataFrame:
    """The rows of `tweets_raw` at a version."""
    return spark.read.format("delta").option("versionAsOf", version).load(uri)


def create_table(spark: SparkSession, clean_uri: str) -> None:
    """An empty `tweets_clean`. A writer alone would leave every column nullable.

    Outside `recorded`: the commit must not say that a run has read anything.
    """
    table = DeltaTable.create(spark).location(clean_uri).addColumns(TWEETS_CLEAN)
    table.property("delta.dataSkippingStatsColumns", STATISTICS_COLUMNS).execute()


def clean_all(log: DataFrame, files: Sequence[Mapping[str, Any]], clean_uri: str) -> None:
    """Replaces `tweets_clean` by the current tweets of the whole `log`, whose files have the statistics `files`."""
    if not any(file.get("numRecords", 1) for file in files):
        raise SystemExit("tweets_raw holds no tweets: ingest a dump first")
    cleaned = clean(log if hold_one_dump(files) else current_tweets(log))
    # Columns that are new in the contract are added.
    cleaned.write.format("delta").mode("overwrite").option("mergeSchema", "true").save(clean_uri)


def hold_one_dump(files: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the statistics of all files name one dump. It has each id once, so that its rows are the current tweets.

    False where a file has none or OPTIMIZE has cut them short: then all rows are compared, which takes longer. Asking the rows themselves takes
    a Spark job, 10 of the 47 CPU seconds of cleaning 500,000 tweets.
    """
    bounds = {file.get(side, {}).get("dump_sha256") for file in files for side in ("minValues", "maxValues")}
    return len(bounds) == 1 and None not in bounds


def clean_changes(
    spark: SparkSession, log: DataFrame, touched: DataFrame, clean_uri: str, position: ReadPosition
) -> dict[str, int]:
    """Brings the tweets whose ids are `touched` up to date; counts the rows of each change.

    New tweets are appended, then corrections are merged. The last commit carries the position: a run that dies between the two leaves it as it
    was, and its retry finds only the corrections to be made. Of two runs at once, one that Airflow has given up and its retry, one appends.
    """
    version = newest_snapshot(spark, clean_uri).version()
    touched = touched.persist()
    # Once it is in the cache, Spark knows its size, and sends a small one to every task instead of shuffling the log.
    touched.count()
    held = spark.read.format("delta").load(clean_uri).join(touched, "tweet_id", how="left_semi")
    # Not in the cache: Spark would work it out again after the first commit to the table.
    changes = compare(current_tweets(log.join(touched, "tweet_id", how="left_semi")), held).localCheckpoint()
    counts = {row.change: int(row["count"]) for row in changes.groupBy("change").count().collect()}
    require_version(spark, clean_uri, version)
    new, corrections = (
        changes.where("change = 'insert'"),
        sum(count for change, count in counts.items() if change != "insert"),
    )
    if "insert" in counts and corrections:
        with written_once(spark, position):
            append(clean(new), clean_uri)
    with recorded(spark, position):
        if corrections:
            correct(
                DeltaTable.forPath(spark, clean_uri),
                changes.where("change <> 'insert'"),
                is_small=corrections <= BROADCAST_ROWS,
            )
        elif "insert" in counts:
            with written_once(spark, position):
                append(clean(new), clean_uri)
        else:
            record_position(spark, clean_uri)
    touched.unpersist()
    return counts


def append(cleaned: DataFrame, clean_uri: str) -> None:
    """Adds rows to `tweets_clean`."""
    cleaned.write.format("delta").mode("append").save(clean_uri)


def correct(tweets_clean: DeltaTable, changes: DataFrame, *, is_small: bool) -> None:
    """Merges the rows of `compare` that are updates and deletes; those that are few are sent to every task."""
    is_delete = F.col("change") == "delete"
    deletes = changes.where(is_delete).select("tweet_id", F.lit(True).alias("is_delete"))
    source = (
        clean(changes.where(~is_delete))
        .withColumn("is_delete", F.lit(False))
        .unionByName(deletes, allowMissingColumns=True)
    )
    source = F.broadcast(source) if is_small else source
    (
        # Without a clause that inserts, Delta need not look for rows that match nothing: the rows of the table are not shuffled.
        tweets_clean.alias("old")
        .merge(source.alias("new"), "old.tweet_id = new.tweet_id")
        .whenMatchedDelete("new.is_delete")
        .whenMatchedUpdate(set={name: f"new.{name}" for name in TWEETS_CLEAN.names})
        .execute()
    )


def clean_tweets(spark: SparkSession, raw_uri: str, clean_uri: str) -> dict[str, object]:
    """Brings `tweets_clean` up to date; a summary: what was done, and the rows inserted, updated and deleted.

    Raises SystemExit with what to do where `tweets_raw` does not exist or is empty.
    """
    if not DeltaTable.isDeltaTable(spark, raw_uri):
        raise SystemExit(f"no table tweets_raw at {raw_uri}: ingest a dump first")
    snapshot = newest_snapshot(spark, raw_uri)
    last, current = last_position(spark, clean_uri, STAGE), position_at(snapshot, STAGE, RULES)
    summary: dict[str, object] = {
        "job": STAGE,
        "scope": "nothing",
        "tweets_raw_version": current.source_version,
    }
    if last == current:
        return summary
    log = read_log(spark, raw_uri, current.source_version)
    if (
        last is not None
        and (last.rules, last.source_id) == (current.rules, current.source_id)
        and changes_are_kept(snapshot, last.source_version, datetime.now(UTC))
    ):
        touched = changed_keys(spark, raw_uri, last.source_version, current.source_version, key="tweet_id")
        counts = clean_changes(spark, log, touched, clean_uri, current)
        return summary | {"scope": "changes", **counts}
    if not DeltaTable.isDeltaTable(spark, clean_uri):
        create_table(spark, clean_uri)
    with recorded(spark, current):
        clean_all(log, file_statistics(snapshot), clean_uri)
    inserted = sum(file["numRecords"] for file in file_statistics(newest_snapshot(spark, clean_uri)))
    return summary | {"scope": "all", "insert": inserted}


def main() -> None:
    """Runs the job and prints its summary, the last line as JSON."""
    arguments = arg_parser().parse_args()
    started = time.monotonic()
    spark = open_session(STAGE)
    for key, value in SETTINGS.items():
        spark.conf.set(key, value)
    summary = clean_tweets(spark, arguments.tweets_raw, arguments.tweets_clean)
    summary["seconds"] = round(time.monotonic() - started, 1)
    spark.stop()
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
