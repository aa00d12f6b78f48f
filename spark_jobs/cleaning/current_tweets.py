"""Select the current tweets of the log `tweets_raw`.

If a tweet is in several dumps, the latest delivery wins. The columns LATEST_VALUES have the latest value that
is not null, so that a dump without labels deletes none.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

# The order of deliveries. The hash breaks ties.
DELIVERY = ("delivered_at", "dump_sha256")
LATEST_VALUES = ("label", "agreement", "created_at", "lang")
CURRENT_TWEET = ["tweet_id", "safe_text", *LATEST_VALUES, "dump_sha256"]


def current_tweets(log: DataFrame) -> DataFrame:
    """Return the columns CURRENT_TWEET for each tweet_id of the log."""
    delivery = F.struct(*DELIVERY)
    latest = log.groupBy("tweet_id").agg(
        F.max_by(F.struct("safe_text", "dump_sha256"), delivery).alias("row"),
        *(F.max_by(name, F.when(F.col(name).isNotNull(), delivery)).alias(name) for name in LATEST_VALUES),
    )
    return latest.select("tweet_id", "row.safe_text", *LATEST_VALUES, "row.dump_sha256")


def superseded_rows(log: DataFrame) -> DataFrame:
    """Return tweet_id and dump_sha256 of the rows from which the current tweet takes no value."""
    delivery = F.struct(*DELIVERY)
    with_value = (F.when(F.col(name).isNotNull(), delivery) for name in LATEST_VALUES)
    sources = log.groupBy("tweet_id").agg(
        F.array(F.max(delivery), *map(F.max, with_value)).alias("sources"),
        F.collect_list(delivery).alias("rows"),
    )
    superseded = sources.select("tweet_id", F.explode(F.array_except("rows", "sources")).alias("row"))
    return superseded.select("tweet_id", "row.dump_sha256")
