"""Aggregations of the insight report. Every function takes scored tweets and returns a small table.

A scored tweet has the columns TWEETS and SCORES.
"""

from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from contracts.labels import LABEL_NAMES, PROBABILITY_COLUMNS

# Without `safe_text`, which contains user names.
TWEETS = (
    "tweet_id",
    "text",
    "clean_text",
    "created_at",
    "hashtags",
    "text_group",
    "split",
    "dump_sha256",
)
SCORES = (*PROBABILITY_COLUMNS, "label", "score", "model_name", "model_version", "scored_at")
# Columns of `distinct_texts` that rank texts, and their order.
RANKINGS = {"negative": F.desc, "positive": F.desc, "uncertain": F.asc}


def confidence() -> Column:
    """Return the highest probability."""
    return F.greatest(*PROBABILITY_COLUMNS)


def counts_by_label() -> list[Column]:
    """Return an aggregate for each label: its number of rows."""
    return [F.count_if(F.col("label") == label).alias(name) for label, name in LABEL_NAMES.items()]


def label_counts(scored: DataFrame, *by: str) -> DataFrame:
    """Return the number of `tweets` for each value of `by`, in total and by label."""
    return scored.groupBy(*by).agg(F.count("*").alias("tweets"), *counts_by_label())


def hashtag_counts(scored: DataFrame, limit: int) -> DataFrame:
    """Return the most frequent hashtags: `hashtag`, `tweets`, those of each label, and the mean `score`."""
    tags = scored.select(F.explode(F.array_distinct("hashtags")).alias("hashtag"), "label", "score")
    counts = tags.groupBy("hashtag").agg(
        F.count("*").alias("tweets"), *counts_by_label(), F.avg("score").alias("score")
    )
    return counts.orderBy(F.desc("tweets"), "hashtag").limit(limit)


def day_counts(scored: DataFrame) -> DataFrame:
    """Return the tweets by `day` of `created_at` (UTC, null without a date), as `label_counts`."""
    return label_counts(scored.withColumn("day", F.to_date("created_at")), "day")


def hashtag_halves(scored: DataFrame, start: date, limit: int) -> DataFrame:
    """Return the most frequent hashtags of dated tweets: `hashtag`, its tweets `before` and `after` a day.

    `start` is the first day of `after`.
    """
    dated = scored.where("created_at is not null").withColumn("is_after", F.to_date("created_at") >= start)
    tags = dated.select(F.explode(F.array_distinct("hashtags")).alias("hashtag"), "is_after")
    counts = tags.groupBy("hashtag").agg(
        F.count_if(~F.col("is_after")).alias("before"), F.count_if("is_after").alias("after")
    )
    return counts.orderBy(F.desc(F.col("before") + F.col("after")), "hashtag").limit(limit)


def distinct_texts(scored: DataFrame) -> DataFrame:
    """Return one row for each text_group: `text`, `tweets`, `score`, and the columns of RANKINGS."""
    text = F.min(F.struct("text", "score", "p_negative", "p_positive", confidence().alias("confidence")))
    groups = scored.groupBy("text_group").agg(F.count("*").alias("tweets"), text.alias("one"))
    return groups.select(
        "one.text",
        "tweets",
        "one.score",
        F.col("one.p_negative").alias("negative"),
        F.col("one.p_positive").alias("positive"),
        F.col("one.confidence").alias("uncertain"),
    )


def extremes(texts: DataFrame, ranking: str, limit: int) -> DataFrame:
    """Return the first rows of `distinct_texts` by one of RANKINGS."""
    return texts.orderBy(RANKINGS[ranking](ranking), "text").limit(limit)


def label_changes(scored: DataFrame, earlier: DataFrame) -> DataFrame:
    """Return `before`, `now` (labels) and `tweets` for the tweets that two models have scored."""
    before = earlier.select("tweet_id", F.col("label").alias("before"))
    pairs = scored.select("tweet_id", F.col("label").alias("now")).join(before, "tweet_id", how="inner")
    return pairs.groupBy("before", "now").agg(F.count("*").alias("tweets"))
