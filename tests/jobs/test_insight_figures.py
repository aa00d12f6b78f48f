"""Shares by dump, period and hashtag: labels count as given, the shares of other tweets are adjusted."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession

from contracts.labels import LABELS
from spark_jobs import score_tweets
from spark_jobs.scoring.insights.page import Places
from spark_jobs.storage.schemas import TWEETS_CLEAN_SCHEMA, TWEETS_SCORED_SCHEMA
from tests.spark_jobs.scorable_models import METADATA, model_with

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


@pytest.fixture(scope="module")
def sections(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Return the sections of the report by title, as in figures.json."""
    folder = tmp_path_factory.mktemp("insights")
    rows = list(tweets())
    for name, schema, found in (
        ("tweets_clean", TWEETS_CLEAN_SCHEMA, [row | {"label": row["given"]} for row in rows]),
        ("tweets_scored", TWEETS_SCORED_SCHEMA, [score(row) for row in rows]),
    ):
        values = [tuple(row.get(column) for column in schema.names) for row in found]
        spark.createDataFrame(values, schema).write.format("delta").save(str(folder / name))
    names = ("tweets_clean", "tweets_scored", "dumps", "drift", "report")
    places = Places(**{name: str(folder / name) for name in names})
    score_tweets.report(spark, places, model_with(table_version=0), "run", 0)
    figures = json.loads((Path(places.report) / "figures.json").read_text())
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
