"""The current tweets of `tweets_raw`, an append-only log with a row for each tweet of each dump: the newest delivery wins.

A dump without labels or agreements erases none: of each of the two columns the newest value that is not null counts.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

# A dump is delivered once; the hash decides between two of the same time.
DELIVERY = ("delivered_at", "dump_sha256")
CURRENT_TWEET = ["tweet_id", "safe_text", "label", "agreement", "dump_sha256"]


def current_tweets(log: DataFrame) -> DataFrame:
    """One row for each tweet_id of `log`: CURRENT_TWEET."""
    delivery = F.struct(*DELIVERY)
    newest = log.groupBy("tweet_id").agg(
        F.max_by(F.struct("safe_text", "dump_sha256"), delivery).alias("row"),
        *(
            F.max_by(name, F.when(F.col(name).isNotNull(), delivery)).alias(name)
            for name in ("label", "agreement")
        ),
    )
    return newest.select("tweet_id", "row.safe_text", "label", "agreement", "row.dump_sha256")


def superseded_rows(log: DataFrame) -> DataFrame:
    """tweet_id and dump_sha256 of the rows of `log` that give the current tweet neither its text nor its label nor its agreement."""
    delivery = F.struct(*DELIVERY)
    is_label, is_agreement = (F.when(F.col(name).isNotNull(), delivery) for name in ("label", "agreement"))
    sources = log.groupBy("tweet_id").agg(
        F.array(F.max(delivery), F.max(is_label), F.max(is_agreement)).alias("sources"),
        F.collect_list(delivery).alias("rows"),
    )
    superseded = sources.select("tweet_id", F.explode(F.array_except("rows", "sources")).alias("row"))
    return superseded.select("tweet_id", "row.dump_sha256")
