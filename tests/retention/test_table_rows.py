"""Scores of former champions and old invalid records are deleted; those of champion and held dumps stay."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from contracts.tables import DUMPS, QUARANTINE, TWEETS_SCORED
from loading.tables.schemas import arrow_schema
from retention.table_rows import delete_old_quarantine, delete_old_scores, query

NOW = datetime(2026, 11, 28, tzinfo=UTC)
CHAMPION = ("vaxpulse", "2")


@pytest.fixture
def scored(tmp_path):
    """Version 1 scored last 100 days ago, the champion 95 days ago, version 3 today."""
    rows = [
        dict.fromkeys(("p_negative", "p_neutral", "p_positive", "score"), 0.5)
        | {"tweet_id": tweet, "label": 1, "model_name": "vaxpulse", "model_version": version}
        | {"scored_at": NOW - timedelta(days=days)}
        for version, days in (("1", 100), ("2", 95), ("3", 0))
        for tweet in "AB"
    ]
    uri = str(tmp_path / "tweets_scored")
    table = pa.Table.from_pylist(rows, arrow_schema(TWEETS_SCORED))
    write_deltalake(
        uri,
        table,
        partition_by=["model_name", "model_version"],
        configuration={"delta.enableChangeDataFeed": "true"},
    )
    return uri


def versions(uri):
    return {row["model_version"] for row in query(uri, "SELECT model_version FROM t")}


def test_scores_of_former_champions_are_deleted_without_rewriting_a_file(scored):
    before = set(DeltaTable(scored).file_uris())
    deleted = delete_old_scores(scored, NOW - timedelta(days=90), CHAMPION)
    assert deleted == {"vaxpulse version 1": 2}
    assert versions(scored) == {"2", "3"}
    assert set(DeltaTable(scored).file_uris()) < before


def test_no_score_is_deleted_without_a_champion(scored):
    assert delete_old_scores(scored, NOW, None) == {}
    assert versions(scored) == {"1", "2", "3"}


def test_missing_tables_are_no_error(tmp_path):
    missing = str(tmp_path / "missing")
    assert delete_old_scores(missing, NOW, CHAMPION) == {}
    assert delete_old_quarantine(missing, missing, NOW) == {}


def test_invalid_records_of_old_dumps_are_deleted_except_held_ones(tmp_path):
    uris = {table.name: str(tmp_path / table.name) for table in (DUMPS, QUARANTINE)}
    states = {
        "old": ("loaded", 100, 99),
        "held": ("held", 100, 100),
        "approved-late": ("loaded", 100, 2),
        "new": ("loaded", 1, 1),
    }
    dumps = [
        {column.name: None if column.nullable else 0 for column in DUMPS.columns}
        | {"dump_sha256": name, "state": state, "source": "s", "run_id": "r"}
        | {"delivered_at": NOW - timedelta(days=delivered), "ingested_at": NOW - timedelta(days=decided)}
        for name, (state, delivered, decided) in states.items()
    ]
    invalid = [{"dump_sha256": name, "row_number": 1, "raw_record": "x", "reason": "y"} for name in states]
    for table, rows in ((DUMPS, dumps), (QUARANTINE, invalid)):
        write_deltalake(uris[table.name], pa.Table.from_pylist(rows, arrow_schema(table)))
    deleted = delete_old_quarantine(uris["quarantine"], uris["dumps"], NOW - timedelta(days=90))
    assert deleted == {"old": 1}
    left = query(uris["quarantine"], "SELECT dump_sha256 FROM t ORDER BY dump_sha256")
    assert [row["dump_sha256"] for row in left] == ["approved-late", "held", "new"]
