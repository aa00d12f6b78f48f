"""Small tables of clean and of scored tweets."""

from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_jobs.scoring.insights import aggregations
from spark_jobs.storage.schemas import TWEETS_CLEAN_SCHEMA


def scored(spark: SparkSession, *tweets: tuple[str, str, str, str]) -> DataFrame:
    """Tweets of (tweet_id, text, split, dump_sha256) with the same scores for all."""
    rows = spark.createDataFrame(
        list(tweets), "tweet_id string, text string, split string, dump_sha256 string"
    )
    columns = {
        "clean_text": F.col("text"),
        "own_label": F.lit(None).cast("int"),
        "created_at": F.lit(None).cast("timestamp"),
        "hashtags": F.array(F.lit("flu")),
        "text_group": F.col("text"),
        "p_negative": F.lit(0.1),
        "p_neutral": F.lit(0.2),
        "p_positive": F.lit(0.7),
        "label": F.lit(1),
        "score": F.lit(0.6),
        "model_name": F.lit("tiny"),
        "model_version": F.lit("1"),
        "scored_at": F.current_timestamp(),
    }
    return rows.withColumns(columns).select(*aggregations.TWEETS, *aggregations.SCORES)


def clean_row(**values: object) -> tuple[object, ...]:
    """A row of tweets_clean. Columns without a value are null."""
    return tuple(values.get(name) for name in TWEETS_CLEAN_SCHEMA.names)


def save_labelled_tweets(spark: SparkSession, folder: Path) -> str:
    """Write tweets_clean with a labelled dump `old` of 300 tweets, and return its URI."""
    uri = str(folder / "tweets_clean")
    values = {"label": 1, "agreement": 1.0, "hashtags": ["flu"], "emoji": [], "stemmed_text": ""}
    rows = [
        clean_row(
            **values,
            tweet_id=f"A{i}",
            **dict.fromkeys(("safe_text", "text", "clean_text"), f"vaccines work {i % 7}"),
            text_group="g",
            split="eval" if i % 5 == 0 else "train",
            dump_sha256="old",
        )
        for i in range(300)
    ]
    spark.createDataFrame(rows, TWEETS_CLEAN_SCHEMA).write.format("delta").save(uri)
    return uri


def with_dump(spark: SparkSession, clean_uri: str, dump: str, text: str, tweets: int) -> DataFrame:
    """The labelled tweets and a new dump of `tweets` unlabelled ones, scored. No text is a copy."""
    labelled = [
        (row.tweet_id, row.text, row.split, row.dump_sha256)
        for row in spark.read.format("delta").load(clean_uri).collect()
    ]
    new = [(f"{dump}-{i}", f"{text} {i % 7}", "unlabelled", dump) for i in range(tweets)]
    return scored(spark, *labelled, *new).withColumn("text_group", F.col("tweet_id"))
