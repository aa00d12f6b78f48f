"""clean_tweets and score_tweets after tables were restored, created again, or lost a part of their logs."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import deltalake
import pytest
from delta.tables import DeltaTable
from pyspark.sql import SparkSession

from contracts.exit_status import InputError
from tests.jobs.test_clean_tweets import Tables
from tests.jobs.test_score_tweets import TEXTS
from tests.jobs.test_score_tweets import Tables as ScoredTables
from tests.properties.tweet_log import Dump, Tweet
from tests.spark_jobs.scorable_models import TinyModel, make_tiny_model


@contextmanager
def restored_afterwards(uri: str) -> Iterator[None]:
    """Copy a table. Replace it by the copy after the block."""
    shutil.copytree(uri, f"{uri}.copy")
    yield
    shutil.rmtree(uri)
    Path(f"{uri}.copy").rename(uri)


def delete_log_before(uri: str, version: int) -> None:
    """Delete the commit files before a version, as Delta's log retention does after a checkpoint."""
    deltalake.DeltaTable(uri, version=version).create_checkpoint()
    for number in range(version):
        for commit in Path(uri, "_delta_log").glob(f"*{number:020d}.json*"):
            commit.unlink()


@pytest.fixture
def tables(spark: SparkSession, tmp_path: Path) -> Tables:
    tables = Tables(spark, tmp_path)
    tables.log.append(Dump("d1", [Tweet("A1", "one"), Tweet("A2", "two")], 1))
    tables.run()
    return tables


def test_position_ahead_of_a_restored_log_reads_all_and_writes_what_differs(tables: Tables) -> None:
    with restored_afterwards(tables.log.uri):
        tables.log.append(Dump("d2", [Tweet("A2", "changed"), Tweet("A3", "three")], 2))
        assert tables.run() == {"scope": "changes", "insert": 1, "update": 1}
    assert tables.run() == {"scope": "all", "update": 1, "delete": 1}
    assert {ident: text for ident, (text, *_) in tables.texts().items()} == {"A1": "one", "A2": "two"}
    assert tables.newest_commit()["operation"] == "MERGE"
    assert tables.run() == {"scope": "nothing"}


@pytest.mark.parametrize("commits", [1, 2], ids=["the same version", "a later version"])
def test_other_commits_of_a_restored_log_are_not_taken_for_the_processed_ones(
    tables: Tables, commits: int
) -> None:
    with restored_afterwards(tables.log.uri):
        tables.log.append(Dump("d2", [Tweet("A2", "changed"), Tweet("A3", "three")], 2))
        tables.run()
    for number in range(commits):
        tables.log.append(Dump(f"other {number}", [Tweet(f"B{number}", "another")], 3 + number))
    assert tables.run() == {"scope": "all", "insert": commits, "update": 1, "delete": 1}
    assert sorted(tables.texts()) == ["A1", "A2", *(f"B{number}" for number in range(commits))]
    assert tables.position() == tables.log_version()


def test_append_is_not_skipped_because_a_restored_log_counts_its_versions_again(tables: Tables) -> None:
    with restored_afterwards(tables.log.uri):
        for number in range(3):
            tables.log.append(Dump(f"lost {number}", [Tweet(f"L{number}", "lost")], 2 + number))
            tables.run()
    tables.run()
    tables.log.append(Dump("d2", [Tweet("A3", "three")], 9))
    assert tables.run() == {"scope": "changes", "insert": 1}
    assert sorted(tables.texts()) == ["A1", "A2", "A3"]


def test_log_that_was_created_again_is_read_whole_and_unchanged_tweets_stay(tables: Tables) -> None:
    shutil.rmtree(tables.log.uri)
    tables.log.append(Dump("d1", [Tweet("A1", "one"), Tweet("A3", "three")], 1))
    assert tables.run() == {"scope": "all", "insert": 1, "delete": 1}
    assert sorted(tables.texts()) == ["A1", "A3"]


def test_empty_log_that_was_created_again_deletes_no_tweet(tables: Tables) -> None:
    shutil.rmtree(tables.log.uri)
    tables.log.append()
    with pytest.raises(InputError, match="has no rows: ingest a dump first"):
        tables.run()
    assert sorted(tables.texts()) == ["A1", "A2"]


def test_position_before_the_beginning_of_the_log_reads_all(tables: Tables) -> None:
    for number in range(3):
        tables.log.append(Dump(f"n{number}", [Tweet(f"B{number}", "new")], 2 + number))
    delete_log_before(tables.log.uri, version=2)
    assert tables.run() == {"scope": "all", "insert": 3}
    assert tables.run() == {"scope": "nothing"}


def test_tweets_clean_that_a_user_restored_to_an_earlier_version_is_completed(tables: Tables) -> None:
    tables.log.append(Dump("d2", [Tweet("A3", "three")], 2))
    before = tables.newest_commit()["version"]
    tables.run()
    DeltaTable.forPath(tables.spark, tables.clean).restoreToVersion(before)
    assert tables.run() == {"scope": "all", "insert": 3}
    assert sorted(tables.texts()) == ["A1", "A2", "A3"]


def test_tweets_clean_from_an_older_copy_continues_at_its_own_position(tables: Tables) -> None:
    with restored_afterwards(tables.clean):
        tables.log.append(Dump("d2", [Tweet("A3", "three")], 2))
        tables.run()
    tables.log.append(Dump("d3", [Tweet("A4", "four")], 3))
    assert tables.run() == {"scope": "changes", "insert": 2}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "restored-1", "bert", TEXTS)


@pytest.mark.parametrize(
    "after",
    [lambda tables: None, lambda tables: tables.dump(("B1", TEXTS[2]))],
    ids=["ahead of the table", "the same version"],
)
def test_tweets_of_a_restored_table_are_scored(
    spark: SparkSession, tmp_path: Path, tiny: TinyModel, after: Callable[[ScoredTables], None]
) -> None:
    tables = ScoredTables(spark, tmp_path)
    tables.dump(("A1", TEXTS[0]))
    with restored_afterwards(tables.log.uri), restored_afterwards(tables.clean):
        tables.dump(("A2", TEXTS[1]))
        tables.score(tiny.exported)
    after(tables)
    tables.score(tiny.exported)
    current = spark.read.format("delta").load(tables.clean).collect()
    assert tables.scores("1").keys() == {row.tweet_id for row in current}
    assert tables.score(tiny.exported) == {"texts": 0}
