"""Aggregations of the insight report. Every function takes scored tweets and returns a small table.

A scored tweet has the columns TWEETS and SCORES.
"""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from contracts.labels import LABELS, PROBABILITY_COLUMNS
from contracts.statistics import COUNTS
from contracts.texts import FORMULA_START
from reporting.periods import Period

# Without `safe_text`, which contains user names. `own_label` is the label of tweets_clean.
TWEETS = (
    "tweet_id",
    "text",
    "own_label",
    "clean_text",
    "created_at",
    "hashtags",
    "text_group",
    "split",
    "dump_sha256",
)
# `label` is the predicted label.
SCORES = (*PROBABILITY_COLUMNS, "label", "score", "model_name", "model_version", "scored_at")
# Columns of `distinct_texts` that rank texts, and their order.
RANKINGS = {"negative": F.desc, "positive": F.desc, "uncertain": F.asc}


def confidence() -> Column:
    """Return the highest probability."""
    return F.greatest(*PROBABILITY_COLUMNS)


def text_counts(scored: DataFrame, part: Column) -> DataFrame:
    """Return `part`, COUNTS, and the number of `texts` of the part that have these counts.

    All tweets of a part with the same text_group are one text. Nearly all texts have the same few counts, so
    that the result is small.
    """
    texts = scored.groupBy(part.alias("part"), "text_group").agg(*label_counts())
    return texts.groupBy("part", *COUNTS).agg(F.count("*").alias("texts"))


def label_counts() -> list[Column]:
    """Return the aggregations COUNTS."""
    own = [F.count_if(F.col("own_label") == label) for label in LABELS]
    predicted = [F.count_if(F.col("own_label").isNull() & (F.col("label") == label)) for label in LABELS]
    return [count.alias(name) for name, count in zip(COUNTS, own + predicted, strict=True)]


def explode_hashtags(scored: DataFrame) -> DataFrame:
    """Return a row for each `hashtag` of each tweet."""
    return scored.withColumn("hashtag", F.explode(F.array_distinct("hashtags")))


def hashtag_counts(scored: DataFrame, limit: int) -> DataFrame:
    """Return the most frequent hashtags: `hashtag`, `tweets`, and the mean `score`.

    The score of a labelled tweet is its label.
    """
    counts = (
        explode_hashtags(scored)
        .groupBy("hashtag")
        .agg(F.count("*").alias("tweets"), F.avg(F.coalesce("own_label", "score")).alias("score"))
    )
    return counts.orderBy(F.desc("tweets"), "hashtag").limit(limit)


def day_counts(dated: DataFrame) -> DataFrame:
    """Return the number of `tweets` for each `day`, without tweets that have none."""
    return dated.where("day is not null").groupBy("day").agg(F.count("*").alias("tweets"))


def split_by_period(dated: DataFrame, periods: Sequence[Period]) -> DataFrame:
    """Return the tweets whose `day` is in one of the periods, with its name as `period`."""
    bounds = dated.sparkSession.createDataFrame(
        [(period.name, period.first, period.end) for period in periods], "period string, first date, end date"
    )
    days = bounds.select("period", F.explode(F.expr("sequence(first, date_sub(end, 1))")).alias("day"))
    return dated.join(F.broadcast(days), "day", how="inner")


def hashtag_halves(scored: DataFrame, start: date, limit: int) -> DataFrame:
    """Return the most frequent hashtags of dated tweets: `hashtag`, its tweets `before` and `after` a day.

    `start` is the first day of `after`.
    """
    dated = scored.where("created_at is not null").withColumn("is_after", F.to_date("created_at") >= start)
    counts = (
        explode_hashtags(dated)
        .groupBy("hashtag")
        .agg(F.count_if(~F.col("is_after")).alias("before"), F.count_if("is_after").alias("after"))
    )
    return counts.orderBy(F.desc(F.col("before") + F.col("after")), "hashtag").limit(limit)


def distinct_texts(scored: DataFrame) -> DataFrame:
    """Return one row for each text_group: `text`, `tweets`, `score`, and the columns of RANKINGS.

    `labels` is the number of tweets with a label, `tweet_id` that of one tweet with this text.
    """
    values = ("text", "tweet_id", "score", "p_negative", "p_positive", confidence().alias("confidence"))
    groups = scored.groupBy("text_group").agg(
        F.count("*").alias("tweets"),
        F.count("own_label").alias("labels"),
        F.min(F.struct(*values)).alias("one"),
    )
    return groups.select(
        "one.text",
        "one.tweet_id",
        "tweets",
        "labels",
        "one.score",
        F.col("one.p_negative").alias("negative"),
        F.col("one.p_positive").alias("positive"),
        F.col("one.confidence").alias("uncertain"),
    )


def extremes(texts: DataFrame, ranking: str, limit: int) -> DataFrame:
    """Return the first rows of `distinct_texts` by one of RANKINGS."""
    return texts.orderBy(RANKINGS[ranking](ranking), "text").limit(limit)


def texts_to_label(texts: DataFrame, limit: int) -> DataFrame:
    """Return `tweet_id` and `text` of the most uncertain rows of `distinct_texts` without a label.

    A spreadsheet must not evaluate a cell. TEXT_PREFIX would become part of the text when the file is
    delivered, so that such tweets are left out.
    """
    safe = ~F.col("tweet_id").rlike(FORMULA_START) & ~F.col("text").rlike(FORMULA_START)
    return (
        texts.where((F.col("labels") == 0) & safe)
        .orderBy("uncertain", "tweet_id")
        .select("tweet_id", "text")
        .limit(limit)
    )


def label_changes(scored: DataFrame, earlier: DataFrame) -> DataFrame:
    """Return `before`, `now` (predicted labels) and `tweets` for the tweets that two models have scored."""
    before = earlier.select("tweet_id", F.col("label").alias("before"))
    pairs = scored.select("tweet_id", F.col("label").alias("now")).join(before, "tweet_id", how="inner")
    return pairs.groupBy("before", "now").agg(F.count("*").alias("tweets"))
