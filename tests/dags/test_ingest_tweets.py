"""What one run of the ingestion delivers, and what it tells a person."""

import os
import sys
from datetime import UTC, datetime

import pytest
from airflow.sdk.exceptions import AirflowFailException
from common import dumps as dumps_table
from deltalake import write_deltalake
from pyarrow import table

from tests.plugins.memory_hdfs import MemoryHdfs


def module_of(dag_bag, dag_id):
    """The DAG file's module, as Airflow imported it."""
    dag = dag_bag.dags[dag_id]
    return next(
        module for module in list(sys.modules.values()) if getattr(module, "__file__", None) == dag.fileloc
    )


@pytest.fixture
def ingest(dag_bag):
    return module_of(dag_bag, "ingest_tweets")


@pytest.fixture
def review(dag_bag):
    return module_of(dag_bag, "review_dump")


@pytest.fixture
def landing(tmp_path):
    """A landing folder on this machine with one dump that was written long ago."""
    (tmp_path / "c.csv").write_bytes(b"c")
    os.utime(tmp_path / "c.csv", (0, 0))
    return tmp_path


def test_named_dump_is_delivered_alone(ingest, landing):
    hdfs = MemoryHdfs()
    hdfs.put("/vaxpulse/landing/a.csv", b"a")
    ingest.deliver("c.csv", hdfs, landing)
    assert "/vaxpulse/landing/a.csv" in hdfs.files
    assert [content for path, content in hdfs.files.items() if path.startswith("/vaxpulse/delivered/")] == [
        b"c"
    ]


def test_without_a_name_everything_that_has_landed_is_delivered_and_loaded_in_the_order_of_arrival(
    ingest, landing
):
    hdfs = MemoryHdfs()
    hdfs.put("/vaxpulse/landing/b.csv", b"b", seconds_ago=60)
    hdfs.put("/vaxpulse/landing/a.csv", b"a", seconds_ago=90)
    # delivered by the watcher, whose event was lost or has started this run
    hdfs.put("/vaxpulse/delivered/20261124T000000.000Z-d.csv", b"d")
    ingest.deliver(None, hdfs, landing)
    contents = [hdfs.files[path] for path in sorted(hdfs.files)]
    assert sorted(contents) == [b"a", b"b", b"c", b"d"]
    assert [content for content in contents if content != b"c"] == [b"d", b"a", b"b"]
    assert all(path.startswith("/vaxpulse/delivered/") for path in hdfs.files)


def test_file_that_cannot_be_delivered_is_named_after_the_others_were(ingest, landing):
    hdfs = MemoryHdfs()
    hdfs.put("/vaxpulse/landing/a.csv", b"a")
    (landing / "uploading").mkdir(mode=0o700)
    (landing / "uploading" / "a folder").mkdir()
    with pytest.raises(RuntimeError, match=r"could not be delivered: a folder: IsADirectoryError"):
        ingest.deliver(None, hdfs, landing)
    assert any(path.endswith("-a.csv") and path.startswith("/vaxpulse/delivered/") for path in hdfs.files)


def test_nothing_landed_is_nothing_to_do(ingest, tmp_path):
    hdfs = MemoryHdfs()
    ingest.deliver(None, hdfs, tmp_path)
    assert hdfs.files == {}


HELD = {
    "dump_sha256": "ab" * 32,
    "source": "june.csv",
    "delivered_at": datetime(2026, 11, 24, 23, 8, 25, tzinfo=UTC),
    "state": "held",
    "reason": "its median text has 3 characters, 10 to 1000 are usual",
    "records": 8012,
    "accepted": 8010,
    "duplicates": 0,
    "quarantined": 2,
    "negative": 800,
    "neutral": 4000,
    "positive": 3210,
    "median_text_length": 3.0,
    "label_distance": None,
}


def test_held_dump_is_asked_about_once_for_each_delivery(ingest):
    assert ingest.review_runs([HELD]) == ingest.review_runs([HELD])
    [first] = ingest.review_runs([HELD])
    [second] = ingest.review_runs([HELD | {"delivered_at": datetime(2026, 11, 25, tzinfo=UTC)}])
    assert first["conf"] == {"dump_sha256": "ab" * 32}
    assert first["trigger_run_id"] == "held__abababababababab__20261124T230825"
    assert first["trigger_run_id"] != second["trigger_run_id"]


def test_person_sees_the_figures_of_a_held_dump(review):
    shown = review.describe(HELD)
    assert "**june.csv**, delivered 2026-11-24 23:08 UTC, is held: its median text has 3 characters" in shown
    assert "| records | 8,012 |" in shown
    assert "| label distance from the dumps before it | - |" in shown


def test_answer_without_a_reason_is_none(review):
    answer = {"chosen_options": ["Let it pass"], "params_input": {"reason": "  the sender warned us  "}}
    assert review.read_answer(answer) == {"decision": "pass", "reason": "the sender warned us"}
    for params_input in ({}, {"reason": "  short   "}):
        with pytest.raises(AirflowFailException, match="needs a reason of at least 10 characters"):
            review.read_answer(answer | {"params_input": params_input})


def test_dumps_are_read_in_the_order_of_delivery_and_none_before_the_first(tmp_path, monkeypatch):
    uri = str(tmp_path / "dumps")
    monkeypatch.setattr(dumps_table, "DUMPS", uri)
    assert dumps_table.read_dumps("state = 'held'") == []
    moments = [datetime(2026, 11, day, tzinfo=UTC) for day in (3, 1, 2)]
    write_deltalake(
        uri, table({"source": ["c", "a", "b"], "state": ["held", "held", "loaded"], "delivered_at": moments})
    )
    assert [row["source"] for row in dumps_table.read_dumps("state = 'held'")] == ["a", "c"]
