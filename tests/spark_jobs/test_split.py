"""Which side a tweet falls on. Every text is invented."""

import hashlib

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spark_jobs.clean_tweets import apply_rules
from spark_jobs.split import SALT, split, text_group


def test_the_side_is_read_off_the_hash_alone_and_a_fifth_is_eval(spark: SparkSession) -> None:
    groups = spark.range(20_000).select(text_group(F.col("id").cast("string")).alias("text_group"), F.lit(1).alias("label"))
    sides = groups.select("text_group", split(F.col("text_group"), F.col("label")).alias("split")).collect()
    assert all((row.split == "eval") == (int(row.text_group[:8], 16) < 0.2 * 2**32) for row in sides)
    assert {row.split for row in sides} == {"train", "eval"}
    assert abs(sum(row.split == "eval" for row in sides) / 20_000 - 0.2) < 0.01


def test_the_group_is_the_salted_md5_of_the_normalised_text(spark: SparkSession) -> None:
    # Nothing may ever change this: tweets would change sides.
    (row,) = spark.createDataFrame([("vaccineswork",)], "t string").select(text_group(F.col("t")).alias("g")).collect()
    assert row.g == hashlib.md5(f"{SALT}vaccineswork".encode()).hexdigest()


def test_a_tweet_without_label_is_on_no_side(spark: SparkSession) -> None:
    rows = spark.createDataFrame([("g", None), ("g", 0)], "g string, label int").select(split(F.col("g"), F.col("label")).alias("split"))
    assert [row.split for row in rows.collect()] == ["unlabelled", "train"]


def test_copies_of_a_text_share_a_group_however_they_are_dressed(spark: SparkSession) -> None:
    copies = [
        "Vaccines work, get your flu shot!",
        # retweeted, to somebody, with a link, shouted, escaped, with an emoji
        "RT @nurse: vaccines work get your flu shot https://example.org/a",
        "<user> VACCINES WORK &amp; GET YOUR FLU SHOT <url>".replace("&amp; ", ""),
        "“Vaccines work”… get your flu shot 💉",
        # a hash sign before a word
        "#Vaccines work, get your #flu shot!",
    ]
    others = ["Vaccines work, get your flu shots!", "", "💉"]
    tweets = spark.createDataFrame([(text,) for text in copies + others], "safe_text string")
    group_of = {row.safe_text: row.text_group for row in apply_rules(tweets).select("safe_text", "text_group").collect()}
    assert len({group_of[text] for text in copies}) == 1
    # nothing but the two without any letter share one
    assert len({group_of[text] for text in copies + others}) == 3
