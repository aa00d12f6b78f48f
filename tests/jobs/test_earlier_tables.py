"""Tables of an earlier version get the new columns, and no tweet changes sides of the split."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql.types import StructType

from contracts.tables import DRIFT, TWEETS_RAW
from loading.tables.schemas import create_table
from spark_jobs import clean_tweets
from spark_jobs.maintain_tables import drop_superseded_rows
from spark_jobs.scoring.drift_table import measure_new_dumps
from spark_jobs.scoring.insights.page import read_drift
from spark_jobs.storage.schemas import DRIFT_SCHEMA, TWEETS_CLEAN_SCHEMA
from tests.jobs.small_tables import save_labelled_tweets, with_dump
from tests.properties import tweet_log
from tests.properties.tweet_log import FIRST_DELIVERY, Dump, Tweet, TweetLog
from tests.spark_jobs.scorable_models import model_with

NEW_IN_RAW = ["created_at", "lang"]
NEW_IN_CLEAN = ["text", "created_at", "lang"]
EARLIER_RAW = replace(
    TWEETS_RAW, columns=tuple(column for column in TWEETS_RAW.columns if column.name not in NEW_IN_RAW)
)
NEW_IN_DRIFT = ["label_psi_limit", "length_psi_limit", "word_psi_limit"]
EARLIER_CLEAN = StructType([field for field in TWEETS_CLEAN_SCHEMA if field.name not in NEW_IN_CLEAN])
WRITTEN = datetime(2021, 3, 1, 8, tzinfo=UTC)
# With copies, user names, links and damaged encodings, and on both sides of the split.
TWEETS = [
    Tweet(f"A{number}", f"@ann: itâ€™s reason {number // 2} https://t.co/{number}", number % 3 - 1.0)
    for number in range(200)
]


def test_new_columns_are_added_with_null_in_old_rows_and_no_tweet_changes_sides(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log, clean_uri = TweetLog(tmp_path), str(tmp_path / "tweets_clean")

    def rows(*columns: str) -> dict[str, tuple[object, ...]]:
        table = spark.read.format("delta").load(clean_uri).select("tweet_id", *columns)
        return {row[0]: tuple(row[1:]) for row in table.collect()}

    def run() -> dict[str, object]:
        summary = clean_tweets.clean_tweets(spark, log.uri, clean_uri)
        return {key: value for key, value in summary.items() if key not in ("job", "tweets_raw_version")}

    with monkeypatch.context() as earlier:
        earlier.setattr(tweet_log, "TWEETS_RAW", EARLIER_RAW)
        earlier.setattr(clean_tweets, "TWEETS_CLEAN_SCHEMA", EARLIER_CLEAN)
        earlier.setattr(clean_tweets, "RULES", "rules of the earlier version")
        log.append(Dump("d1", TWEETS))
        run()
    assert set(spark.read.format("delta").load(log.uri).columns).isdisjoint(NEW_IN_RAW)
    before = rows("text_group", "split", "label", "safe_text")
    assert {split for _, split, *_ in before.values()} == {"train", "eval"}

    # The next run cleans all tweets, although tweets_raw still has the earlier columns.
    assert run() == {"scope": "all", "insert": len(TWEETS), "added_columns": NEW_IN_CLEAN}
    assert rows("text_group", "split", "label", "safe_text") == before
    assert set(rows("created_at", "lang").values()) == {(None, None)}
    assert rows("text")["A4"] == ("<user>: it’s reason 2 <url>",)
    assert drop_superseded_rows(spark, log.uri, FIRST_DELIVERY + timedelta(days=30)) == 0

    # The next load adds the columns to tweets_raw. Only its tweets have values.
    create_table(log.uri, TWEETS_RAW)
    assert "tweets_raw: added the columns created_at, lang" in capsys.readouterr().out
    log.append(Dump("d2", [TWEETS[0]._replace(created_at=WRITTEN, lang="en"), Tweet("B1", "new")], 1))
    assert run() == {"scope": "changes", "insert": 1, "update": 1}
    assert rows("created_at", "lang") == dict.fromkeys(before, (None, None)) | {
        "A0": (WRITTEN.replace(tzinfo=None), "en"),
        "B1": (None, None),
    }
    after = rows("text_group", "split", "label", "safe_text")
    assert {tweet_id: after[tweet_id] for tweet_id in before} == before


def test_drift_of_the_earlier_version_is_shown_and_gets_the_limits_with_the_next_dump(
    spark: SparkSession, tmp_path: Path
) -> None:
    clean_uri, drift_uri, model = save_labelled_tweets(spark, tmp_path), str(tmp_path / "drift"), model_with()
    earlier = StructType([field for field in DRIFT_SCHEMA if field.name not in NEW_IN_DRIFT])
    values = {"dump_sha256": "old", "model_name": model.name, "model_version": model.version, "tweets": 300}
    row = values | {"label_psi": 0.1, "breaches": [], "measured_at": FIRST_DELIVERY}
    rows = spark.createDataFrame([tuple(row.get(name) for name in earlier.names)], earlier)
    rows.write.format("delta").save(drift_uri)
    loaded = spark.createDataFrame(
        [(dump, FIRST_DELIVERY) for dump in ("old", "new")], "dump_sha256 string, ingested_at timestamp"
    )

    def limits() -> dict[object, tuple[object, ...]]:
        found = read_drift(spark, drift_uri, model, {}, loaded)
        return {row["dump_sha256"]: tuple(row[name] for name in NEW_IN_DRIFT) for row in found}

    assert limits() == {"old": (None, None, None)}
    tweets = with_dump(spark, clean_uri, "new", "vaccines work", 250)
    assert measure_new_dumps(spark, drift_uri, clean_uri, tweets, model, loaded) == 1
    found = limits()
    assert found.pop("old") == (None, None, None)
    assert all(0.02 <= limit < 1 for limit in found.pop("new"))  # type: ignore[operator]
    assert set(spark.read.format("delta").load(drift_uri).columns) == set(DRIFT.column_names())
