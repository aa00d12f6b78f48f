"""maintain_tables deletes superseded rows and merges small files, and changes no current tweet."""

from datetime import timedelta
from pathlib import Path

import deltalake
import pytest
from delta.tables import DeltaTable

from contracts.exit_status import InputError
from contracts.retention import MIN_RETENTION
from spark_jobs.maintain_tables import arg_parser, compact, count_files, drop_superseded_rows
from tests.properties.tweet_log import FIRST_DELIVERY, Dump, Tweet, TweetLog


@pytest.fixture
def table_of_many_files(spark, tmp_path):
    """A table to which one row was appended six times."""
    uri = str(tmp_path / "table with a space")
    for number in range(6):
        spark.range(number, number + 1).coalesce(1).write.format("delta").mode("append").save(uri)
    return uri


def test_small_files_become_one_and_the_rows_stay(spark, table_of_many_files):
    counts = compact(spark, table_of_many_files, MIN_RETENTION)
    assert (counts["before"]["files"], counts["before"]["small_files"]) == (6, 6)
    assert (counts["after"]["files"], counts["after"]["small_files"]) == (1, 1)
    assert sorted(row.id for row in spark.read.format("delta").load(table_of_many_files).collect()) == [
        0,
        1,
        2,
        3,
        4,
        5,
    ]


def test_versions_within_the_retention_stay_readable(spark, table_of_many_files):
    compact(spark, table_of_many_files, MIN_RETENTION)
    assert spark.read.format("delta").option("versionAsOf", 2).load(table_of_many_files).count() == 3


def test_table_of_one_file_is_not_rewritten(spark, table_of_many_files):
    compact(spark, table_of_many_files, MIN_RETENTION)
    version = DeltaTable.forPath(spark, table_of_many_files).history(1).head().version
    compact(spark, table_of_many_files, MIN_RETENTION)
    operations = [
        row.operation
        for row in DeltaTable.forPath(spark, table_of_many_files)
        .history()
        .where(f"version > {version}")
        .collect()
    ]
    assert "OPTIMIZE" not in operations
    assert count_files(spark, table_of_many_files).files == 1


def test_retention_below_a_week_is_an_input_error():
    with pytest.raises(InputError, match="the retention of 24 hours is too short"):
        arg_parser().parse_args(["--tables", "a", "--tweets-raw", "a", "--retention-hours", "24"])


def test_superseded_rows_are_dropped_except_those_that_a_current_tweet_still_needs(spark, tmp_path):
    log = TweetLog(tmp_path)
    log.append(
        # superseded in text and votes
        Dump("d1", [Tweet("A1", "first", 0.0, 0.5), Tweet("A2", "first", 0.0, 0.5)], 1),
        # the newest label, and the newest agreement, that any dump gave
        Dump("d2", [Tweet("A1", "second", 1.0, None)], 2),
        Dump("d3", [Tweet("A1", "third", None, 1.0)], 3),
        Dump("d4", [Tweet("A1", "fourth"), Tweet("A2", "fourth", 1.0, 1.0)], 4),
        # delivered within the retention, which needs the rows that were current before it if it is retracted
        Dump("d8", [Tweet("A2", "eighth", -1.0, 1.0)], 8),
    )
    assert drop_superseded_rows(spark, log.uri, FIRST_DELIVERY + timedelta(days=7)) == 2
    # read by deltalake, which refuses tables with deletion vectors
    left = deltalake.DeltaTable(log.uri).to_pyarrow_table(columns=["tweet_id", "dump_sha256"]).to_pylist()
    assert sorted(tuple(row.values()) for row in left) == [
        ("A1", "d2"),
        ("A1", "d3"),
        ("A1", "d4"),
        ("A2", "d4"),
        ("A2", "d8"),
    ]
    # a second time finds nothing to drop, and commits nothing
    version = deltalake.DeltaTable(log.uri).version()
    assert drop_superseded_rows(spark, log.uri, FIRST_DELIVERY + timedelta(days=7)) == 0
    assert deltalake.DeltaTable(log.uri).version() == version


def test_rows_that_a_late_approval_superseded_stay_for_the_retention(spark, tmp_path):
    log = TweetLog(tmp_path)
    held = Dump("d2", [Tweet("A1", "second")], 2, loaded=41)
    log.append(Dump("d1", [Tweet("A1", "first")], 1), held)
    assert drop_superseded_rows(spark, log.uri, FIRST_DELIVERY + timedelta(days=12)) == 0
    assert drop_superseded_rows(spark, log.uri, FIRST_DELIVERY + timedelta(days=42)) == 1


def test_no_file_marks_rows_as_deleted(spark, tmp_path):
    log = TweetLog(tmp_path)
    log.append(Dump("d1", [Tweet("A1", "first")], 1), Dump("d2", [Tweet("A1", "second")], 2))
    drop_superseded_rows(spark, log.uri, FIRST_DELIVERY + timedelta(days=7))
    compact(spark, log.uri, MIN_RETENTION)
    commits = [path.read_text() for path in Path(log.uri, "_delta_log").glob("*.json")]
    assert len(commits) > 1
    assert not [commit for commit in commits if "deletionVector" in commit]
