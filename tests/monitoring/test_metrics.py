"""pipeline_metrics has one row for each task of a stage, also after retries and repeated passes."""

import json
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from deltalake import DeltaTable, QueryBuilder, Schema, write_deltalake

from contracts import tables
from monitoring.metrics import record_metrics

START = datetime.now(UTC) + timedelta(hours=1)  # after the commits that the tests make


class Store:
    """Tables in a folder."""

    def __init__(self, folder):
        self.folder = folder

    def uri(self, table):
        return str(self.folder / table.name)

    def query(self, table, sql):
        if not DeltaTable.is_deltatable(self.uri(table)):
            return []
        opened = QueryBuilder().register("t", DeltaTable(self.uri(table)))
        return pa.table(opened.execute(sql).read_all()).to_pylist()

    def append(self, table, rows):
        write_deltalake(self.uri(table), pa.Table.from_pylist(rows), mode="append")

    def commit(self, table, time, operation, metrics):
        """Add a commit with the metrics that Spark records."""
        uri = self.uri(table)
        if not DeltaTable.is_deltatable(uri):
            DeltaTable.create(uri, schema=Schema.from_arrow(pa.schema([("tweet_id", pa.string())])))
        info = {
            "timestamp": int(time.timestamp() * 1000),
            "operation": operation,
            "operationMetrics": metrics,
        }
        file = self.folder / table.name / "_delta_log" / f"{DeltaTable(uri).version() + 1:020d}.json"
        file.write_text(json.dumps({"commitInfo": info | {"operationParameters": {}}}) + "\n")

    def metrics(self):
        return self.query(tables.PIPELINE_METRICS, "SELECT * FROM t ORDER BY dag_id, run_id, map_index")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def after(seconds):
    return START + timedelta(seconds=seconds)


def add_task(platform, dag_id, task_id, start, end, run_id="a", tries=1, map_index=-1):
    run = platform.add_run(dag_id, run_id, "success", after(end + 1))
    run["start_date"] = after(start - 1).isoformat()
    task = {"task_id": task_id, "map_index": map_index, "state": "success", "try_number": tries}
    times = {"start_date": after(start).isoformat(), "end_date": after(end).isoformat()}
    platform.tasks.setdefault(run_id, []).append(task | times)
    return platform.tasks[run_id][-1], run


@pytest.fixture
def record(platform, store):
    return lambda: record_metrics(platform.airflow, store.query, store.uri, after(1000))


def test_loading_has_records_rows_and_bytes_of_its_dumps(platform, store, record):
    add_task(platform, "ingest_tweets", "load_dumps", 10, 14.5)
    dump = {"dump_sha256": "a", "delivered_at": after(0), "records": 100, "accepted": 90, "bytes": 5000}
    other = dump | {"dump_sha256": "b", "state": "held", "run_id": "a", "records": 7, "bytes": 70}
    later = dump | {"dump_sha256": "c", "state": "loaded", "run_id": "b"}
    store.append(tables.DUMPS, [dump | {"state": "loaded", "run_id": "a"}, other, later])
    assert record() == 1
    [row] = store.metrics()
    assert row == {
        "dag_id": "ingest_tweets",
        "run_id": "a",
        "task_id": "load_dumps",
        "map_index": -1,
        "state": "success",
        "tries": 1,
        "started_at": after(10),
        "ended_at": after(14.5),
        "seconds": 4.5,
        "rows_in": 107,
        "rows_out": 90,
        "bytes": 5070,
        "lag_seconds": None,
    }


def test_spark_stage_has_the_rows_of_its_source_and_of_its_commits(platform, store, record):
    store.append(tables.TWEETS_RAW, [{"tweet_id": str(i)} for i in range(30)])
    add_task(platform, "clean_tweets", "clean_tweets", 10, 20)
    clean = tables.TWEETS_CLEAN
    store.commit(clean, after(5), "WRITE", {"numOutputRows": "1000", "numOutputBytes": "1"})  # another run
    store.commit(clean, after(12), "WRITE", {"numOutputRows": "20", "numOutputBytes": "400"})
    merge = {"numTargetRowsInserted": "0", "numTargetRowsUpdated": "2", "numTargetRowsDeleted": "1"}
    store.commit(clean, after(15), "MERGE", merge | {"numTargetBytesAdded": "50", "numOutputRows": "999"})
    store.commit(clean, after(16), "OPTIMIZE", {"numAddedFiles": "1", "numOutputRows": "999"})
    record()
    [row] = store.metrics()
    assert (row["rows_in"], row["rows_out"], row["bytes"]) == (30, 23, 450)


def test_retry_keeps_the_rows_that_the_first_try_committed(platform, store, record):
    add_task(platform, "clean_tweets", "clean_tweets", 30, 40, tries=2)
    platform.runs[0]["start_date"] = after(9).isoformat()
    store.commit(tables.TWEETS_CLEAN, after(12), "WRITE", {"numOutputRows": "20", "numOutputBytes": "400"})
    record()
    [row] = store.metrics()
    assert (row["tries"], row["seconds"], row["rows_out"]) == (2, 10, 20)


def test_second_pass_adds_nothing_and_makes_no_commit(platform, store, record):
    add_task(platform, "explore_tweets", "explore_tweets", 10, 20)
    assert record() == 1
    version = DeltaTable(store.uri(tables.PIPELINE_METRICS)).version()
    assert record() == 0
    assert DeltaTable(store.uri(tables.PIPELINE_METRICS)).version() == version


def test_mapped_tasks_without_elements_do_not_hide_later_runs(platform, store, record):
    for number in range(60):
        task, _ = add_task(platform, "train_classifiers", "train", number, number, run_id=f"empty-{number}")
        task |= {"state": "skipped", "start_date": None, "end_date": None}
    add_task(platform, "train_classifiers", "train", 100, 110, run_id="trained")
    assert record() == 1
    assert [row["run_id"] for row in store.metrics()] == ["trained"]


def test_cleared_task_replaces_its_row(platform, store, record):
    task, run = add_task(platform, "explore_tweets", "explore_tweets", 10, 20)
    record()
    task |= {"start_date": after(50).isoformat(), "end_date": after(80).isoformat(), "try_number": 2}
    run["end_date"] = after(81).isoformat()
    assert record() == 1
    [row] = store.metrics()
    assert (row["tries"], row["seconds"]) == (2, 30)


def test_mapped_trainings_have_a_row_each(platform, store, record):
    for index in range(2):
        add_task(platform, "train_classifiers", "train", 10, 20 + index, map_index=index)
    platform.runs.pop()
    record()
    assert [(row["map_index"], row["seconds"]) for row in store.metrics()] == [(0, 10), (1, 11)]


def test_running_run_has_no_row(platform, store, record):
    _, run = add_task(platform, "explore_tweets", "explore_tweets", 10, 20)
    run |= {"state": "running", "end_date": None}
    assert record() == 0


def test_task_that_never_started_has_no_row(platform, store, record):
    task, _ = add_task(platform, "explore_tweets", "explore_tweets", 10, 20)
    task["start_date"] = None
    assert record() == 0


def test_lag_is_the_time_from_delivery_to_the_first_score(platform, store, record):
    add_task(platform, "score_tweets", "score_tweets", 100, 130)
    dump = {"records": 1, "accepted": 1, "bytes": 1, "state": "loaded", "run_id": "x"}
    delivered = {"a": after(-50), "b": after(20), "c": after(0)}
    store.append(tables.DUMPS, [dump | {"dump_sha256": k, "delivered_at": t} for k, t in delivered.items()])
    # Dump a was scored by an earlier model, c is not scored yet.
    scored = [("a", after(-10)), ("a", after(125)), ("b", after(125))]
    store.append(tables.DRIFT, [{"dump_sha256": k, "measured_at": t} for k, t in scored])
    record()
    [row] = store.metrics()
    assert row["lag_seconds"] == 105
