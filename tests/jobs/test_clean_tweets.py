"""clean_tweets on small invented tables: what it writes, and that it writes only what is new."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from chispa.dataframe_comparer import assert_df_equality
from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from spark_jobs import clean_tweets, read_position
from spark_jobs.schemas import TWEETS_CLEAN, TWEETS_RAW

NOW = datetime(2026, 11, 23, tzinfo=UTC)
Tweet = tuple[str, str, float | None, float | None]


class Tables:
    """The job's tables in a folder of their own."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.spark = spark
        self.raw, self.clean, self.vocabulary = (str(folder / name) for name in ("tweets_raw", "tweets_clean", "vocabulary"))

    def rows(self, *tweets: Tweet, dump: str = "d1") -> DataFrame:
        return self.spark.createDataFrame([(*tweet, dump, NOW) for tweet in tweets], TWEETS_RAW)

    def create_raw(self) -> None:
        DeltaTable.createIfNotExists(self.spark).location(self.raw).addColumns(TWEETS_RAW).execute()

    def append(self, *tweets: Tweet, dump: str = "d1") -> None:
        self.rows(*tweets, dump=dump).write.format("delta").mode("append").save(self.raw)

    def merge(self, *tweets: Tweet, dump: str) -> None:
        source = self.rows(*tweets, dump=dump).alias("new")
        target = DeltaTable.forPath(self.spark, self.raw).alias("old")
        target.merge(source, "old.tweet_id = new.tweet_id").whenMatchedUpdateAll().whenNotMatchedInsertAll().execute()

    def run(self) -> dict[str, object]:
        return clean_tweets.clean_tweets(self.spark, self.raw, self.clean, self.vocabulary)

    def counts(self) -> tuple[object, ...]:
        summary = self.run()
        return tuple(summary[key] for key in ("scope", "rows_read", "rows_cleaned", "rows_dropped"))

    def cleaned(self) -> DataFrame:
        return self.spark.read.format("delta").load(self.clean)

    def texts(self) -> dict[str, tuple[str, int | None, str]]:
        return {row.tweet_id: (row.clean_text, row.label, row.dump_sha256) for row in self.cleaned().collect()}

    def commits(self) -> int:
        return DeltaTable.forPath(self.spark, self.clean).history().count()


@pytest.fixture
def tables(spark: SparkSession, tmp_path: Path) -> Tables:
    return Tables(spark, tmp_path)


def test_a_tweet_becomes_a_row_of_the_contract(tables: Tables, spark: SparkSession) -> None:
    text = "RT @nurse: the children's vaccinations &amp; #FluShots work 💉 https://example.org/a"
    tables.create_raw()
    tables.append(("A1", text, 1.0, 2 / 3), ("A2", "why?", None, None))
    assert tables.counts() == ("all", 2, 2, 0)
    expected = [
        ("A1", text, 1, 2 / 3, ["flushots"], ["💉"], "the childrens vaccinations work", "children vaccin work", "eval", "d1"),
        ("A2", "why?", None, None, [], [], "why", "", "unlabelled", "d1"),
    ]
    without_group = StructType([field for field in TWEETS_CLEAN if field.name != "text_group"])
    assert_df_equality(tables.cleaned().drop("text_group"), spark.createDataFrame(expected, without_group), ignore_row_order=True)
    assert tables.cleaned().schema == TWEETS_CLEAN


def test_exact_duplicates_and_null_texts_are_dropped_and_counted(tables: Tables, spark: SparkSession) -> None:
    # a table that somebody else wrote: its columns may be null
    same: Tweet = ("A1", "same", 0.0, 1.0)
    nullable = "tweet_id string, safe_text string, label double, agreement double, dump_sha256 string, ingested_at timestamp"
    rows = [(*same, "d1", NOW), (*same, "d2", NOW), ("A2", "same", 0.0, 1.0, "d1", NOW), ("A3", None, 0.0, 1.0, "d1", NOW)]
    spark.createDataFrame(rows, nullable).write.format("delta").save(tables.raw)
    assert tables.counts() == ("all", 4, 2, 2)
    assert sorted(tables.texts()) == ["A1", "A2"]


def test_only_what_is_new_or_changed_is_cleaned_and_a_retry_is_a_no_op(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    tables.create_raw()
    tables.append(("A1", "first text", 0.0, 1.0), ("A2", "second text", 1.0, 1.0))
    assert tables.counts() == ("all", 2, 2, 0)
    # nothing new: nothing committed
    before = tables.commits()
    assert tables.counts() == ("nothing", 0, 0, 0)
    assert tables.commits() == before
    # new tweets are appended without a look at the others
    tables.append(("A3", "third #tag", -1.0, 1.0), dump="d2")
    assert tables.counts() == ("changes", 1, 1, 0)
    assert DeltaTable.forPath(tables.spark, tables.clean).history(1).first()["operation"] == "WRITE"
    # a corrected label, a changed text and a new tweet in one; two changes of one tweet: the last counts
    tables.merge(("A1", "first text", -1.0, 1.0), ("A2", "not the last", 1.0, 1.0), dump="d3")
    tables.merge(("A2", "second, changed", 1.0, 1.0), ("A4", "fourth", None, None), dump="d4")
    assert tables.counts() == ("changes", 3, 3, 0)
    # a tweet taken out of tweets_raw is taken out
    DeltaTable.forPath(tables.spark, tables.raw).delete("tweet_id = 'A3'")
    assert tables.counts() == ("changes", 1, 0, 1)
    incremental = tables.texts()
    assert incremental == {"A1": ("first text", -1, "d3"), "A2": ("second changed", 1, "d4"), "A4": ("fourth", None, "d4")}
    # a commit of tweets_raw without changes of rows, and one of tweets_clean by table maintenance
    DeltaTable.forPath(tables.spark, tables.raw).optimize().executeCompaction()
    DeltaTable.forPath(tables.spark, tables.clean).optimize().executeCompaction()
    before = tables.commits()
    assert tables.counts() == ("nothing", 0, 0, 0)
    assert tables.commits() == before
    # other rules: all again, to the same rows as in steps
    monkeypatch.setattr(clean_tweets, "RULES", "others")
    assert tables.counts() == ("all", 3, 3, 0)
    assert tables.texts() == incremental
    # changes that VACUUM may have removed: all again
    tables.append(("A5", "fifth", 0.0, 1.0), dump="d5")
    monkeypatch.setattr(read_position, "CHANGE_FEED_KEPT", timedelta(0))
    assert tables.counts() == ("all", 4, 4, 0)


def test_a_missing_or_empty_tweets_raw_is_an_error_that_says_what_to_do(tables: Tables) -> None:
    with pytest.raises(SystemExit, match=r"no table tweets_raw at .*: ingest a dump first"):
        tables.run()
    tables.create_raw()
    with pytest.raises(SystemExit, match="holds no tweets: ingest a dump first"):
        tables.run()
