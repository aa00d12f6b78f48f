"""The data contracts of the tables that Spark writes: their columns, in order. Those that `load_dumps` writes stand in loading/tables.py.

Labels are -1 negative, 0 neutral, 1 positive. `dump_sha256` is the SHA-256 of a dump's bytes as delivered, in lower-case hexadecimal.
"""

from pyspark.sql.types import (
    ArrayType,
    DoubleType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

LABEL_NAMES = {-1: "negative", 0: "neutral", 1: "positive"}

# Key tweet_id; split is train, eval or unlabelled and a function of text_group alone.
TWEETS_CLEAN = StructType(
    [
        StructField("tweet_id", StringType(), nullable=False),
        StructField("safe_text", StringType(), nullable=False),
        StructField("label", IntegerType()),
        StructField("agreement", DoubleType()),
        StructField("hashtags", ArrayType(StringType(), containsNull=False), nullable=False),
        StructField("emoji", ArrayType(StringType(), containsNull=False), nullable=False),
        StructField("clean_text", StringType(), nullable=False),
        StructField("stemmed_text", StringType(), nullable=False),
        StructField("text_group", StringType(), nullable=False),
        StructField("split", StringType(), nullable=False),
        StructField("dump_sha256", StringType(), nullable=False),
    ]
)

# Key (tweet_id, model_name, model_version); score = p_positive - p_negative.
TWEETS_SCORED = StructType(
    [
        StructField("tweet_id", StringType(), nullable=False),
        StructField("p_negative", DoubleType(), nullable=False),
        StructField("p_neutral", DoubleType(), nullable=False),
        StructField("p_positive", DoubleType(), nullable=False),
        StructField("label", IntegerType(), nullable=False),
        StructField("score", DoubleType(), nullable=False),
        StructField("model_name", StringType(), nullable=False),
        StructField("model_version", StringType(), nullable=False),
        StructField("scored_at", TimestampType(), nullable=False),
    ]
)

# Key (dump_sha256, model_name, model_version): how far a dump is from what the model has learnt from (scoring/drift.py). The measures are null
# for a dump of few tweets; `breaches` names those above their limits.
DRIFT = StructType(
    [
        StructField("dump_sha256", StringType(), nullable=False),
        StructField("model_name", StringType(), nullable=False),
        StructField("model_version", StringType(), nullable=False),
        StructField("tweets", LongType(), nullable=False),
        StructField("label_psi", DoubleType()),
        StructField("length_psi", DoubleType()),
        StructField("word_psi", DoubleType()),
        StructField("more_unseen_words", DoubleType()),
        StructField("less_confidence", DoubleType()),
        StructField("breaches", ArrayType(StringType(), containsNull=False), nullable=False),
        StructField("judged_at", TimestampType(), nullable=False),
    ]
)
