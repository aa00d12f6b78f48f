"""Shares by dump, period and hashtag: labels count as given, the shares of other tweets are adjusted."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from delta.tables import DeltaTable
from pyspark.sql import SparkSession

from contracts.labels import LABELS
from contracts.statistics import DELIVERY, DUMP, HASHTAG, SENTIMENT_FILE, TWEET
from reporting.periods import group_days
from spark_jobs import score_tweets
from spark_jobs.scoring.insights.opinion_sections import shares_row
from spark_jobs.scoring.insights.page import Places
from spark_jobs.scoring.insights.sentiment_counts import write_counts
from spark_jobs.scoring.scorable_model import ScorableModel
from spark_jobs.storage.schemas import TWEETS_CLEAN_SCHEMA, TWEETS_SCORED_SCHEMA
from tests.jobs.small_tables import scored
from tests.spark_jobs.scorable_models import METADATA, model_with
from vaxpulse_airflow.pages.data.sentiment_counts import Selection, SentimentCounts

RATES = np.array(METADATA.confusion_by_label) / np.sum(METADATA.confusion_by_label, axis=1, keepdims=True)
# Tweets of each true label. Their predictions have exactly the error rates of the eval side.
TRUTH = np.array([100, 400, 300])
COPIES = 4
# Dump and hashtag of tweets; whether their labels are given.
PARTS = {"labelled": True, "unlabelled": False}


def tweets() -> Iterator[dict[str, Any]]:
    """Yield 800 tweets for each of PARTS, with a true and a predicted label. COPIES tweets have one text."""
    for day, (part, is_labelled) in enumerate(PARTS.items(), start=1):
        number = 0
        for label, wrong in zip(LABELS, TRUTH[:, np.newaxis] * RATES, strict=True):
            for predicted, count in zip(LABELS, wrong.round().astype(int), strict=True):
                for _ in range(count):
                    number += 1
                    yield {
                        "tweet_id": f"{part}-{number}",
                        **dict.fromkeys(("safe_text", "text", "clean_text"), f"{part} {number // COPIES}"),
                        "given": label if is_labelled else None,
                        "predicted": predicted,
                        "created_at": datetime(2021, 1, day, number % 24, tzinfo=UTC),
                        "hashtags": [part, "all"],
                        "emoji": [],
                        "stemmed_text": "",
                        "text_group": f"{part}-{number // COPIES}",
                        "split": "unlabelled" if not is_labelled else "eval" if number % 5 == 0 else "train",
                        "dump_sha256": part,
                    }


def score(tweet: dict[str, Any]) -> dict[str, Any]:
    """Return a row of tweets_scored."""
    return {
        "tweet_id": tweet["tweet_id"],
        **dict(zip(("p_negative", "p_neutral", "p_positive"), (0.2, 0.3, 0.5), strict=True)),
        "label": tweet["predicted"],
        "score": 0.5,
        "model_name": "tiny",
        "model_version": "1",
        "scored_at": datetime(2026, 11, 1, tzinfo=UTC),
    }


def write_report(spark: SparkSession, folder: Path, rows: list[dict[str, Any]], model: ScorableModel) -> Path:
    """Write tables and the report on them. Return its folder."""
    for name, schema, found in (
        ("tweets_clean", TWEETS_CLEAN_SCHEMA, [row | {"label": row["given"]} for row in rows]),
        ("tweets_scored", TWEETS_SCORED_SCHEMA, [score(row) for row in rows]),
    ):
        values = [tuple(row.get(column) for column in schema.names) for row in found]
        spark.createDataFrame(values, schema).write.format("delta").mode("overwrite").save(str(folder / name))
    names = ("tweets_clean", "tweets_scored", "dumps", "drift", "report")
    places = Places(**{name: str(folder / name) for name in names})
    version = DeltaTable.forPath(spark, places.tweets_clean).history(1).first()["version"]
    score_tweets.report(spark, places, model, "run", version)
    return Path(places.report)


@pytest.fixture(scope="module")
def report(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the report."""
    return write_report(
        spark, tmp_path_factory.mktemp("insights"), list(tweets()), model_with(table_version=0)
    )


@pytest.fixture(scope="module")
def sections(report: Path) -> dict[str, dict[str, Any]]:
    """Return the sections of the report by title, as in figures.json."""
    figures = json.loads((report / "figures.json").read_text())
    return {section["title"]: section for section in figures}


TABLES = {
    "Opinions": ("all", "labelled", "unlabelled"),
    "Over time": (None, "2021-01-01", "2021-01-02"),
    "Hashtags": ("#all", "#labelled", "#unlabelled"),
}


@pytest.mark.parametrize("title", TABLES)
def test_labels_count_as_given_and_other_tweets_are_adjusted(
    sections: dict[str, dict[str, Any]], title: str
) -> None:
    [table] = sections[title]["tables"]
    rows = {row[0]: dict(zip(table["header"], row, strict=True)) for row in table["rows"]}
    for name, labelled, predicted in zip(TABLES[title], (800, 800, 0), (800, 0, 800), strict=True):
        if name is None:  # no period contains all tweets
            continue
        row = rows[name]
        shares = [row[label].partition(" (")[0] for label in ("negative", "neutral", "positive")]
        assert shares == ["12.5 %", "50.0 %", "37.5 %"], name
        assert (row["tweets"], row["labelled"], row["predicted"]) == (
            labelled + predicted,
            labelled,
            predicted,
        )


def test_report_says_how_many_tweets_count_by_label_and_how_many_are_predicted(
    sections: dict[str, dict[str, Any]],
) -> None:
    assert sections["Opinions"]["text"].startswith(
        "Of 1,600 tweets, 800 have a label and count with it. The other 800 have none: the model predicts it."
    )


def read_counts(folder: Path) -> SentimentCounts:
    return SentimentCounts((folder / SENTIMENT_FILE).read_bytes())


def test_counts_of_the_page_give_exactly_the_rows_of_the_report(
    report: Path, sections: dict[str, dict[str, Any]]
) -> None:
    counts = read_counts(report)
    assert counts.dated_by == TWEET
    for kind, title, prefix in ((DUMP, "Opinions", ""), (HASHTAG, "Hashtags", "#")):
        parts = {row[0]: row for row in sections[title]["tables"][0]["rows"] if row[0] != "all"}
        selection = Selection(kind)
        found = counts.estimate_parts(selection, list(counts.count_parts(selection)))
        rows = {f"{prefix}{part}": each.shares for part, each in found.items()}
        assert rows.keys() == parts.keys()
        for name, shares in rows.items():
            assert list(shares_row(name, shares)) == parts[name][: len(shares_row(name, shares))]
    days = {name: row for name, *row in sections["Over time"]["tables"][0]["rows"]}
    periods = group_days(counts.count_days(Selection(DUMP)), "day")
    for period, found in zip(periods, counts.estimate_periods(Selection(DUMP), periods), strict=True):
        assert list(shares_row(period.name, found.shares))[1:] == days[period.name]


def test_only_copied_texts_have_an_id_and_hashtags_have_no_text(report: Path) -> None:
    table = pq.read_table(report / SENTIMENT_FILE)
    assert set(table.column_names) & {"tweet_id", "text", "text_group"} == set()
    ids = table["text_id"].to_pylist()
    # The last text of each part has no copy. It is in the rows of a dump and of two hashtags.
    assert ids.count(None) == 2 * 3
    assert len(set(ids) - {None}) == 2 * 800 // COPIES


def test_counts_follow_a_retraction_and_a_new_champion(spark: SparkSession, tmp_path: Path) -> None:
    rows = list(tweets())
    write_report(spark, tmp_path, rows, model_with(table_version=0))
    # The dump `labelled` is gone, and another model has other error rates.
    other = model_with(table_version=0, eval_confusion=((90, 5, 5), (5, 90, 5), (5, 5, 90)))
    left = [row for row in rows if row["dump_sha256"] == "unlabelled"]
    counts = read_counts(write_report(spark, tmp_path, left, other))
    assert counts.count_parts(Selection(DUMP)) == {"unlabelled": 800}
    assert counts.count_parts(Selection(HASHTAG)) == {"unlabelled": 800, "all": 800}
    assert counts.confusion == [list(row) for row in other.metadata.confusion_by_label]


def test_tweets_without_dates_have_the_day_of_delivery(spark: SparkSession, tmp_path: Path) -> None:
    rows = scored(spark, ("A1", "a", "train", "d1"), ("A2", "b", "train", "d2"), ("A3", "c", "train", "d3"))
    first = date(2026, 6, 1)
    deliveries = {"d1": first, "d2": first + timedelta(days=1)}  # d3 has no row in `dumps`
    write_counts(rows, deliveries, METADATA.confusion_by_label, str(tmp_path))
    counts = read_counts(tmp_path)
    assert counts.dated_by == DELIVERY
    assert counts.count_days(Selection(DUMP)) == {first: 1, first + timedelta(days=1): 1}
    assert counts.count_undated(Selection(DUMP)) == 1
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith(".")) == [
        SENTIMENT_FILE
    ]
