"""Write `sentiment.parquet` for the page *Sentiment*. contracts/statistics.py has its format."""

import json
from collections.abc import Mapping, Sequence
from datetime import date

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from contracts.statistics import COUNTS, DELIVERY, DUMP, HASHTAG, SENTIMENT_FILE, TWEET
from spark_jobs.scoring.insights.aggregations import label_counts
from spark_jobs.storage import hadoop_files


def add_delivery_day(scored: DataFrame, deliveries: Mapping[str, date]) -> DataFrame:
    """Return the tweets with the day of delivery of their dump as `day`.

    Args:
        scored: tweets with `dump_sha256`.
        deliveries: day of delivery of each dump.
    """
    days = scored.sparkSession.createDataFrame(list(deliveries.items()), "dump_sha256 string, day date")
    return scored.join(F.broadcast(days), "dump_sha256", how="left")


def count_labels(dated: DataFrame) -> DataFrame:
    """Return `kind`, `part`, `day`, `text_id` and COUNTS for scored tweets with `day`."""
    copies = F.count("*").over(Window.partitionBy("text_group"))
    parts = F.concat(
        F.array(F.struct(F.lit(DUMP).alias("kind"), F.col("dump_sha256").alias("part"))),
        F.transform(
            F.array_distinct("hashtags"),
            lambda tag: F.struct(F.lit(HASHTAG).alias("kind"), tag.alias("part")),
        ),
    )
    # In one `select`, Spark would explode the tweets before it counts copies.
    identified = dated.withColumn("text_id", F.when(copies > 1, F.xxhash64("text_group")))
    rows = identified.select("day", "own_label", "label", "text_id", F.explode(parts).alias("of"))
    counted = rows.groupBy("of.kind", "of.part", "day", "text_id").agg(*label_counts())
    return counted.withColumns({name: F.col(name).cast("int") for name in COUNTS})


def write_counts(
    scored: DataFrame, deliveries: Mapping[str, date], confusion: Sequence[Sequence[int]], folder: str
) -> None:
    """Write the counts of the scored tweets to the folder of a report. A retry replaces them.

    Args:
        scored: all scored tweets.
        deliveries: day of delivery of each dump, for tweets without a date.
        confusion: counts on the eval side; rows are true labels, columns predicted ones.
        folder: folder of the report.
    """
    has_dates = not scored.where("created_at is not null").isEmpty()
    by_date = scored.withColumn("day", F.to_date("created_at"))
    counts = count_labels(by_date if has_dates else add_delivery_day(scored, deliveries))
    constants = {
        "dated_by": F.lit(TWEET if has_dates else DELIVERY),
        "confusion": F.lit(json.dumps([list(row) for row in confusion])),
    }
    parts = f"{folder}/.sentiment"
    one_file = counts.withColumns(constants).repartition(1).sortWithinPartitions("kind", "part", "day")
    one_file.write.mode("overwrite").parquet(parts)
    [part] = hadoop_files.glob(scored.sparkSession, f"{parts}/part-*")
    hadoop_files.rename_overwriting(scored.sparkSession, part, f"{folder}/{SENTIMENT_FILE}")
    hadoop_files.delete(scored.sparkSession, parts)
