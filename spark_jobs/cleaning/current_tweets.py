"""Select the current tweets of the log `tweets_raw`.

If a tweet is in several dumps, the latest delivery wins.
`label` and `agreement` are the latest values that are not null, so that a dump without labels deletes none.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

# The order of deliveries. The hash breaks ties.
DELIVERY = ("delivered_at", "dump_sha256")
CURRENT_TWEET = ["tweet_id", "safe_text", "label", "agreement", "dump_sha256"]


def current_tweets(log: DataFrame) -> DataFrame:
    """Return the columns CURRENT_TWEET for each tweet_id of the log."""
    delivery = F.struct(*DELIVERY)
    latest = log.groupBy("tweet_id").agg(
        F.max_by(F.struct("safe_text", "dump_sha256"), delivery).alias("row"),
        *(
            F.max_by(name, F.when(F.col(name).isNotNull(), delivery)).alias(name)
            for name in ("label", "agreement")
        ),
    )
    return latest.select("tweet_id", "row.safe_text", "label", "agreement", "row.dump_sha256")


def superseded_rows(log: DataFrame) -> DataFrame:
    """Return tweet_id and dump_sha256 of the rows from which the current tweet takes no value."""
    delivery = F.struct(*DELIVERY)
    is_label, is_agreement = (F.when(F.col(name).isNotNull(), delivery) for name in ("label", "agreement"))
    sources = log.groupBy("tweet_id").agg(
        F.array(F.max(delivery), F.max(is_label), F.max(is_agreement)).alias("sources"),
        F.collect_list(delivery).alias("rows"),
    )
    superseded = sources.select("tweet_id", F.explode(F.array_except("rows", "sources")).alias("row"))
    return superseded.select("tweet_id", "row.dump_sha256")
