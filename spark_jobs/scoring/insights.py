"""What the insight report counts: every function takes scored tweets and returns a small table.

A scored tweet has the columns of TWEETS (its text and dump) and of SCORES.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_jobs.schemas import LABEL_NAMES

TWEETS = ("tweet_id", "safe_text", "clean_text", "hashtags", "text_group", "split", "dump_sha256")
SCORES = (
    "p_negative",
    "p_neutral",
    "p_positive",
    "label",
    "score",
    "model_name",
    "model_version",
    "scored_at",
)
# The columns by which tweets are ranked; the most telling first.
RANKINGS = {"negative": F.desc, "positive": F.desc, "uncertain": F.asc}


def confidence() -> Column:
    """The probability of the label that is most likely."""
    return F.greatest("p_negative", "p_neutral", "p_positive")


def label_counts(scored: DataFrame, *by: str) -> DataFrame:
    """For each value of `by`: `tweets`, and those of each label under its name."""
    of_label = [F.count_if(F.col("label") == label).alias(name) for label, name in LABEL_NAMES.items()]
    return scored.groupBy(*by).agg(F.count("*").alias("tweets"), *of_label)


def hashtag_counts(scored: DataFrame, most: int) -> DataFrame:
    """The hashtags of most tweets: `hashtag`, `tweets`, those of each label, and the mean `score`."""
    tags = scored.select(F.explode(F.array_distinct("hashtags")).alias("hashtag"), "label", "score")
    of_label = [F.count_if(F.col("label") == label).alias(name) for label, name in LABEL_NAMES.items()]
    counts = tags.groupBy("hashtag").agg(
        F.count("*").alias("tweets"), *of_label, F.avg("score").alias("score")
    )
    return counts.orderBy(F.desc("tweets"), "hashtag").limit(most)


def distinct_texts(scored: DataFrame) -> DataFrame:
    """One row for each text_group: `text`, `tweets`, `score`, and the columns of RANKINGS."""
    text = F.min(F.struct("safe_text", "score", "p_negative", "p_positive", confidence().alias("confidence")))
    groups = scored.groupBy("text_group").agg(F.count("*").alias("tweets"), text.alias("one"))
    return groups.select(
        F.col("one.safe_text").alias("text"),
        "tweets",
        "one.score",
        F.col("one.p_negative").alias("negative"),
        F.col("one.p_positive").alias("positive"),
        F.col("one.confidence").alias("uncertain"),
    )


def extremes(texts: DataFrame, ranking: str, most: int) -> DataFrame:
    """The first of `distinct_texts` in one of RANKINGS."""
    return texts.orderBy(RANKINGS[ranking](ranking), "text").limit(most)


def label_changes(scored: DataFrame, earlier: DataFrame) -> DataFrame:
    """`before` and `now` (labels), `tweets`: what two models say of the tweets that both have scored."""
    before = earlier.select("tweet_id", F.col("label").alias("before"))
    pairs = scored.select("tweet_id", F.col("label").alias("now")).join(before, "tweet_id", how="inner")
    return pairs.groupBy("before", "now").agg(F.count("*").alias("tweets"))
