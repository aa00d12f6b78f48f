"""Which side a tweet falls on. Every text is invented."""

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spark_jobs.cleaning.split import split, text_group
from spark_jobs.cleaning.token_rules import apply_rules


def test_the_side_is_read_off_the_hash_alone_and_a_fifth_is_eval(spark: SparkSession) -> None:
    groups = spark.range(20_000).select(
        text_group(F.col("id").cast("string")).alias("text_group"), F.lit(1).alias("label")
    )
    sides = groups.select("text_group", split(F.col("text_group"), F.col("label")).alias("split")).collect()
    assert all((row.split == "eval") == (int(row.text_group[:8], 16) < 0.2 * 2**32) for row in sides)
    assert {row.split for row in sides} == {"train", "eval"}
    assert abs(sum(row.split == "eval" for row in sides) / 20_000 - 0.2) < 0.01


def test_the_group_of_a_text_never_changes(spark: SparkSession) -> None:
    # Tweets would change sides: these digests stand for those of every table.
    digests = {
        "": "36396c183fdeb561c7219777b4e96c9e",
        "vaccineswork": "9070aad3c5faf03be274bb9ff82bc196",
        "εμβολιο": "0c258bcae57c395da9d57fe343c6c503",
    }
    rows = (
        spark.createDataFrame([(text,) for text in digests], "t string")
        .select("t", text_group(F.col("t")).alias("g"))
        .collect()
    )
    assert {row.t: row.g for row in rows} == digests


def test_a_tweet_without_label_is_on_no_side(spark: SparkSession) -> None:
    rows = spark.createDataFrame([("g", None), ("g", 0)], "g string, label int").select(
        split(F.col("g"), F.col("label")).alias("split")
    )
    assert [row.split for row in rows.collect()] == ["unlabelled", "train"]


def test_copies_of_a_text_share_a_group_however_they_are_dressed() -> None:
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
    normalised = {text: apply_rules(text).normalised.lower() for text in copies + others}
    assert {normalised[text] for text in copies} == {"vaccinesworkgetyourflushot"}
    # nothing but the two without any letter share one
    assert {normalised[text] for text in others} == {"vaccinesworkgetyourflushots", ""}
