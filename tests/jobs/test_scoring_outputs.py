"""Files for download, and the drift of dumps, on small tables."""

import csv
import io
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from loading import inspect
from loading.mapping.model import GivenMapping
from reporting.periods import group_days
from reporting.shares import COUNTS
from spark_jobs.scoring import drift_table
from spark_jobs.scoring.drift_table import measure_new_dumps
from spark_jobs.scoring.exports import format_tweets_to_label, write_exports
from spark_jobs.scoring.insights import aggregations
from spark_jobs.scoring.insights.page import count_days, read_drift
from spark_jobs.scoring.loaded_dumps import read_loaded_dumps
from tests.jobs.small_tables import save_labelled_tweets, scored, with_dump
from tests.spark_jobs.scorable_models import model_with

EARLIER = datetime(2026, 11, 1, tzinfo=UTC)
FORMULAS = ["=1+1", "+1", "-1", "@A1", "\t=1", "\r=1", "\n=1", "＝1"]


def test_no_tweet_id_of_a_submission_is_a_formula_and_in_parquet_each_is_as_delivered(
    spark: SparkSession, tmp_path: Path
) -> None:
    ids = [*FORMULAS, "RQMQ0L2A", 'a "quoted", id', "\\", " x "]
    tweets = scored(
        spark, *((tweet_id, "t", "unlabelled", "d1") for tweet_id in ids), ("B1", "t", "unlabelled", "d2")
    )
    files = write_exports(tweets.select("tweet_id", "score", "dump_sha256"), str(tmp_path))
    assert files == {
        "submission-d1.csv": "d1",
        "submission-d2.csv": "d2",
        "scores-d1.parquet": "d1",
        "scores-d2.parquet": "d2",
    }
    assert {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")} == files.keys()
    with (tmp_path / "submission-d1.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["tweet_id", "label"]
    assert {row[0] for row in rows} == {f"'{tweet_id}" for tweet_id in FORMULAS} | set(ids) - set(FORMULAS)
    assert {row[1] for row in rows} == {"0.6"}
    assert {row.tweet_id for row in spark.read.parquet(str(tmp_path / "scores-d1.parquet")).collect()} == set(
        ids
    )


def loaded_at(spark: SparkSession, moment: datetime, *dumps: str) -> DataFrame:
    """Return loaded dumps as `read_loaded_dumps`."""
    rows = [(dump, moment) for dump in dumps]
    return spark.createDataFrame(rows, "dump_sha256 string, ingested_at timestamp")


@pytest.fixture
def clean_uri(spark: SparkSession, tmp_path: Path) -> str:
    return save_labelled_tweets(spark, tmp_path)


def test_drift_of_a_dump_is_measured_once_per_model(
    spark: SparkSession, clean_uri: str, tmp_path: Path
) -> None:
    model, drift = model_with(table_version=0), str(tmp_path / "drift")

    def breaches() -> dict[str, list[str]]:
        return {row.dump_sha256: row.breaches for row in spark.read.format("delta").load(drift).collect()}

    def measure(tweets: DataFrame) -> int:
        return measure_new_dumps(spark, drift, clean_uri, tweets, model, loaded_at(spark, EARLIER))

    spanish = with_dump(spark, clean_uri, "spanish", "las vacunas no funcionan nunca", 250)
    assert measure(spanish) == 2
    assert breaches().keys() == {"old", "spanish"}
    assert breaches()["old"] == []
    assert {"word_psi", "unseen_word_increase"} <= set(breaches()["spanish"])
    assert measure(spanish) == 0
    # only the eval side of the training data is measured
    sizes = {row.dump_sha256: row.tweets for row in spark.read.format("delta").load(drift).collect()}
    assert sizes == {"old": 60, "spanish": 250}
    # too few tweets
    small = with_dump(spark, clean_uri, "small", "las vacunas no funcionan nunca", 20)
    assert measure(small) == 1
    assert breaches()["small"] == []


def test_copies_of_a_text_are_no_drift(spark: SparkSession, clean_uri: str, tmp_path: Path) -> None:
    drift, model = str(tmp_path / "drift"), model_with(table_version=0)
    tweets = with_dump(spark, clean_uri, "copied", "vaccines work", 100)
    copies = scored(spark, *((f"copy-{i}", "vaccines work 3", "unlabelled", "copied") for i in range(400)))
    measure_new_dumps(spark, drift, clean_uri, tweets.union(copies), model, loaded_at(spark, EARLIER))
    [row] = spark.read.format("delta").load(drift).where("dump_sha256 = 'copied'").collect()
    assert (row.tweets, row.breaches) == (101, [])


def test_texts_of_the_training_data_are_not_measured(
    spark: SparkSession, clean_uri: str, tmp_path: Path
) -> None:
    drift, model = str(tmp_path / "drift"), model_with(table_version=0)
    tweets = with_dump(spark, clean_uri, "retweets", "vaccines work", 300)
    same_text = F.regexp_replace("tweet_id", "retweets-", "A")  # of the labelled tweet with this number
    tweets = tweets.withColumn("text_group", same_text)
    measure_new_dumps(spark, drift, clean_uri, tweets, model, loaded_at(spark, EARLIER))
    [row] = spark.read.format("delta").load(drift).where("dump_sha256 = 'retweets'").collect()
    assert row.tweets == 60  # copies of the eval side


def test_drift_of_a_dump_that_was_loaded_again_is_measured_again(
    spark: SparkSession, clean_uri: str, tmp_path: Path
) -> None:
    model, drift = model_with(table_version=0), str(tmp_path / "drift")
    spanish = with_dump(spark, clean_uri, "new", "las vacunas no funcionan nunca", 250)
    loaded = loaded_at(spark, EARLIER, "old", "new")
    assert measure_new_dumps(spark, drift, clean_uri, spanish, model, loaded) == 2
    # retracted, and reopened with another text column
    english = with_dump(spark, clean_uri, "new", "vaccines work", 250)
    loaded = loaded_at(spark, datetime.now(UTC), "new").union(loaded_at(spark, EARLIER, "old"))
    assert measure_new_dumps(spark, drift, clean_uri, english, model, loaded) == 1
    assert measure_new_dumps(spark, drift, clean_uri, english, model, loaded) == 0
    rows = {row["dump_sha256"]: row for row in read_drift(spark, drift, model, {}, loaded)}
    assert rows.keys() == {"old", "new"}
    assert rows["new"]["breaches"] == []


def test_drift_of_a_retracted_dump_is_not_listed(spark: SparkSession, clean_uri: str, tmp_path: Path) -> None:
    dumps, drift = str(tmp_path / "dumps"), str(tmp_path / "drift")
    assert read_loaded_dumps(spark, dumps).isEmpty()
    states = spark.createDataFrame(
        [("old", "loaded", EARLIER), ("new", "retracted", EARLIER)],
        "dump_sha256 string, state string, ingested_at timestamp",
    )
    states.write.format("delta").save(dumps)
    tweets, model = with_dump(spark, clean_uri, "new", "vaccines work", 250), model_with(table_version=0)
    loaded = read_loaded_dumps(spark, dumps)
    assert measure_new_dumps(spark, drift, clean_uri, tweets, model, loaded) == 2
    assert [row["dump_sha256"] for row in read_drift(spark, drift, model, {}, loaded)] == ["old"]


def test_no_drift_is_measured_without_training_data(
    spark: SparkSession, clean_uri: str, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(
        drift_table, "training_data", lambda *_: spark.createDataFrame([], "tweet_id string, part string")
    )
    tweets = with_dump(spark, clean_uri, "new", "vaccines work", 250)
    drift, loaded = str(tmp_path / "drift"), loaded_at(spark, EARLIER)
    assert measure_new_dumps(spark, drift, clean_uri, tweets, model_with(), loaded) == 0


def test_label_changes_between_two_champions(spark: SparkSession) -> None:
    now = scored(spark, ("A1", "a", "train", "d"), ("A2", "b", "train", "d"), ("A3", "c", "train", "d"))
    before = now.where("tweet_id != 'A3'").withColumn(
        "label", F.when(F.col("tweet_id") == "A1", -1).otherwise(1)
    )
    assert {
        (row.before, row.now): row.tweets for row in aggregations.label_changes(now, before).collect()
    } == {
        (-1, 1): 1,
        (1, 1): 1,
    }


def test_tweets_are_counted_by_the_utc_day_on_which_they_were_written(spark: SparkSession) -> None:
    times = {
        "A1": "2021-03-01T00:00:00Z",
        "A2": "2021-03-01T23:59:59Z",
        "A3": "2021-03-02T01:00:00+02:00",
        "A4": "2021-03-02T00:00:00Z",
        "A5": None,
    }
    time_of = F.create_map(*(F.lit(each) for pair in times.items() for each in pair))
    tweets = scored(spark, *((tweet_id, "t", "train", "d") for tweet_id in times)).withColumn(
        "created_at", time_of[F.col("tweet_id")].cast("timestamp")
    )
    first, second = date(2021, 3, 1), date(2021, 3, 2)
    dated = tweets.withColumn("day", F.to_date("created_at"))
    assert count_days(dated) == {first: 3, second: 1}
    periods = group_days({first: 3, second: 1}, "day")
    assert {(row.tweet_id, row.period) for row in aggregations.split_by_period(dated, periods).collect()} == {
        ("A1", "2021-03-01"),
        ("A2", "2021-03-01"),
        ("A3", "2021-03-01"),
        ("A4", "2021-03-02"),
    }
    [halves] = aggregations.hashtag_halves(tweets, second, 5).collect()
    assert halves.asDict() == {"hashtag": "flu", "before": 3, "after": 1}


def test_copies_of_a_text_are_one_row_of_the_extremes(spark: SparkSession) -> None:
    tweets = scored(
        spark, *((f"A{i}", "copied", "train", "d") for i in range(3)), ("B1", "once", "train", "d")
    )
    texts = aggregations.distinct_texts(tweets)
    assert [
        (row.text, row.tweets, row.positive, row.uncertain, row.tweet_id)
        for row in aggregations.extremes(texts, "positive", 5).collect()
    ] == [
        ("copied", 3, 0.7, 0.7, "A0"),
        ("once", 1, 0.7, 0.7, "B1"),
    ]
    assert [row.asDict() for row in aggregations.hashtag_counts(tweets, 5).collect()] == [
        {"hashtag": "flu", "tweets": 4, "score": pytest.approx(0.6)}
    ]


def test_texts_are_counted_by_own_label_and_without_one_by_the_predicted_label(spark: SparkSession) -> None:
    dumps = {"A1": "x", "A2": "x", "A3": "x", "B1": "y", "C1": "z"}
    tweets = scored(spark, *((tweet_id, text, "train", "d") for tweet_id, text in dumps.items()))
    own = F.when(F.col("tweet_id").isin("A1", "A2"), -1).when(F.col("tweet_id") == "B1", 0).cast("int")
    tweets = tweets.withColumn("own_label", own)
    found = aggregations.text_counts(tweets, F.col("dump_sha256")).collect()
    assert {tuple(row[name] for name in ("part", "texts", *COUNTS)) for row in found} == {
        ("d", 1, 2, 0, 0, 0, 0, 1),
        ("d", 1, 0, 1, 0, 0, 0, 0),
        ("d", 1, 0, 0, 0, 0, 0, 1),
    }
    [tag] = aggregations.hashtag_counts(tweets, 5).collect()
    assert tag.score == pytest.approx((-1 - 1 + 0 + 0.6 + 0.6) / 5)


def test_tweets_to_label_are_the_most_uncertain_texts_without_a_label(spark: SparkSession) -> None:
    tweets = scored(
        spark,
        ("C2", "copied", "unlabelled", "d"),
        ("C1", "copied", "unlabelled", "d"),
        ("L1", "labelled", "train", "d"),
        ("L2", "labelled", "unlabelled", "d"),  # a copy of a labelled tweet
        ("S1", "sure", "unlabelled", "d"),
        ("F1", "=1+1", "unlabelled", "d"),
        ("=F", "formula in the id", "unlabelled", "d"),
    )
    tweets = tweets.withColumns(
        {
            "own_label": F.when(F.col("split") == "train", 0),
            "p_positive": F.when(F.col("text") == "sure", 0.9).otherwise(0.4),
        }
    )
    texts = aggregations.distinct_texts(tweets)
    rows = [tuple(row) for row in aggregations.texts_to_label(texts, 5).collect()]
    assert rows == [("C1", "copied"), ("S1", "sure")]
    assert [tuple(row) for row in aggregations.texts_to_label(texts, 1).collect()] == rows[:1]


def test_labels_in_the_file_of_tweets_to_label_are_loaded() -> None:
    texts = [f'they said "no",\nso I waited, tweet {i}' for i in range(30)]
    file = format_tweets_to_label([(f"A{i}", text) for i, text in enumerate(texts)]).decode()
    header, *rows = csv.reader(io.StringIO(file))
    assert {row[2] for row in rows} == {""}
    labelled = [[*row[:2], str(i % 3 - 1) if i < 9 else ""] for i, row in enumerate(rows)]
    written = io.StringIO()
    csv.writer(written).writerows([header, *labelled])
    found = inspect.report(lambda: io.BytesIO(written.getvalue().encode()), GivenMapping())
    assert (found["outcome"], found["accepted"], found["labels"]) == ("load", 30, [3, 3, 3])
    assert [tweet["safe_text"] for tweet in found["preview"]] == texts[:5]
