"""Spark reads tables whose history was purged, and clean_tweets then processes all tweets once."""

from pathlib import Path

import pytest
from deltalake import DeltaTable

from loading.erasure.tables import delete_tweets, purge_history
from spark_jobs.clean_tweets import clean_tweets
from tests.properties.tweet_log import Dump, Tweet, TweetLog


@pytest.fixture
def erased(spark, tmp_path):
    """A log and its cleaned table from which the tweet A1 was erased."""
    log, clean = TweetLog(tmp_path), str(tmp_path / "tweets_clean")
    log.append(Dump("d1", [Tweet("A1", "the canary", 1.0), Tweet("A2", "a text", 0.0)]))
    assert clean_tweets(spark, log.uri, clean)["insert"] == 2
    log.append(Dump("d2", [Tweet("A2", "a corrected text", 0.0)], 1))
    assert clean_tweets(spark, log.uri, clean)["scope"] == "changes"
    for uri in (log.uri, clean):
        assert delete_tweets(uri, ["A1"]) == 1
        purge_history(uri)
    return log, clean


def texts(uri):
    rows = DeltaTable(uri).to_pyarrow_table(columns=["tweet_id", "safe_text"]).to_pylist()
    return {row["tweet_id"]: row["safe_text"] for row in rows}


def test_clean_tweets_processes_all_tweets_once_after_an_erasure(spark, erased):
    log, clean = erased
    summary = clean_tweets(spark, log.uri, clean)
    assert (summary["scope"], summary["insert"]) == ("all", 1)
    assert texts(clean) == {"A2": "a corrected text"}
    assert clean_tweets(spark, log.uri, clean)["scope"] == "nothing"
    log.append(Dump("d3", [Tweet("A3", "a new text", 0.0)], 2))
    assert clean_tweets(spark, log.uri, clean)["scope"] == "changes"
    assert texts(clean) == {"A2": "a corrected text", "A3": "a new text"}


def test_nothing_is_left_to_clean_after_the_only_dump_was_erased(spark, erased):
    log, clean = erased
    for uri in (log.uri, clean):
        assert delete_tweets(uri, ["A2"]) > 0
        purge_history(uri)
    assert clean_tweets(spark, log.uri, clean)["scope"] == "nothing"
    log.append(Dump("d3", [Tweet("A3", "a new text", 0.0)], 2))
    clean_tweets(spark, log.uri, clean)
    assert texts(clean) == {"A3": "a new text"}


def test_no_file_of_spark_contains_the_erased_text(erased):
    log, clean = erased
    for uri in (log.uri, clean):
        stored = {str(path) for path in Path(uri).rglob("*.parquet") if "_delta_log" not in path.parts}
        assert stored == {path.removeprefix("file://") for path in DeltaTable(uri).file_uris()}
        logged = [path for path in Path(uri, "_delta_log").iterdir() if path.is_file()]
        assert not [
            path.name for path in logged if b"canary" in path.read_bytes() or b"A1" in path.read_bytes()
        ]
