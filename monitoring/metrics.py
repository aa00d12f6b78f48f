"""Record what each stage of the pipeline did in the table `pipeline_metrics`, after its run has ended.

Times come from Airflow's task instances, rows and bytes from the table `dumps` and from Delta's history. The
stages themselves write nothing. A row has the key of the task instance, so that a retry, a cleared task or a
second pass replaces it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, Schema

from contracts.tables import (
    DRIFT,
    DUMPS,
    LOADED,
    PIPELINE_METRICS,
    TWEETS_CLEAN,
    TWEETS_RAW,
    TWEETS_SCORED,
    Table,
    Type,
)
from monitoring.problems import MAX_RUNS, Airflow, Query, read_time

# Runs that ended earlier are not recorded, if the table has no row of their DAG.
FIRST_PASS = timedelta(days=30)
# Commits of a table in which a pass looks for those of a run.
MAX_COMMITS = 200
ARROW_TYPES: dict[Type, pa.DataType] = {
    "string": pa.string(),
    "double": pa.float64(),
    "int": pa.int32(),
    "long": pa.int64(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}
# Metrics of Delta's commits that write rows.
ROWS = ("numOutputRows", "numTargetRowsInserted", "numTargetRowsUpdated", "numTargetRowsDeleted")
BYTES = ("numOutputBytes", "numTargetBytesAdded")


@dataclass(frozen=True)
class Stage:
    """A task that runs a stage, and the tables that it reads and writes."""

    dag_id: str
    task_id: str
    source: Table | None = None
    target: Table | None = None


STAGES = (
    Stage("ingest_tweets", "load_dumps"),
    Stage("review_dump", "apply_decision"),
    Stage("clean_tweets", "clean_tweets", TWEETS_RAW, TWEETS_CLEAN),
    Stage("explore_tweets", "explore_tweets", TWEETS_CLEAN),
    Stage("score_tweets", "score_tweets", TWEETS_CLEAN, TWEETS_SCORED),
    Stage("train_classifiers", "train", TWEETS_CLEAN),
)
Row = dict[str, Any]


def record_metrics(airflow: Airflow, query: Query, uri: Callable[[Table], str], now: datetime) -> int:
    """Record the tasks that ended since the last pass. Return the number of rows.

    Args:
        airflow: reads from Airflow's REST API.
        query: reads from the tables.
        uri: returns the URI of a table.
        now: current time with zone.
    """
    columns = ", ".join((*PIPELINE_METRICS.key, "ended_at"))
    known = query(PIPELINE_METRICS, f"SELECT {columns} FROM t")  # noqa: S608 (constants)
    recorded = {tuple(row[name] for name in PIPELINE_METRICS.key): row["ended_at"] for row in known}
    # During the first start, Airflow may not have parsed all DAG files.
    present = {dag["dag_id"] for dag in airflow("/api/v2/dags", {"limit": 100})["dags"]}
    new: list[Row] = []
    for stage in (stage for stage in STAGES if stage.dag_id in present):
        times = [row["ended_at"] for row in known if row["dag_id"] == stage.dag_id]
        for run, row in read_tasks(airflow, stage, max(times, default=now - FIRST_PASS)):
            if recorded.get(tuple(row[name] for name in PIPELINE_METRICS.key)) != row["ended_at"]:
                new.append(row | count_rows(stage, run, row, query, uri))
    if new:
        merge(uri(PIPELINE_METRICS), new)
    return len(new)


def read_tasks(airflow: Airflow, stage: Stage, since: datetime) -> Iterator[tuple[Row, Row]]:
    """Yield run and row, without figures, of each task of a stage whose run ended after a time."""
    path = f"/api/v2/dags/{stage.dag_id}/dagRuns"
    # Without `state`, Airflow also returns running runs, which have no end.
    query: dict[str, Any] = {"state": ["success", "failed"], "end_date_gte": since.isoformat()}
    query |= {"order_by": "end_date", "limit": MAX_RUNS}
    # All pages: a mapped task without elements has no row, so that its run is read again in each pass.
    for run in read_pages(airflow, path, query):
        tasks = airflow(f"{path}/{run['dag_run_id']}/taskInstances", {"limit": 100})["task_instances"]
        for task in tasks:
            if task["task_id"] == stage.task_id and task["start_date"] and task["end_date"]:
                started, ended = read_time(task["start_date"]), read_time(task["end_date"])
                yield (
                    run,
                    {
                        "dag_id": stage.dag_id,
                        "run_id": run["dag_run_id"],
                        "task_id": stage.task_id,
                        "map_index": task["map_index"],
                        "state": task["state"],
                        "tries": task["try_number"],
                        "started_at": started,
                        "ended_at": ended,
                        "seconds": (ended - started).total_seconds(),
                    },
                )


def read_pages(airflow: Airflow, path: str, query: Mapping[str, Any]) -> Iterator[Row]:
    """Yield the runs of all pages."""
    for page in count():
        runs = airflow(path, {**query, "offset": page * MAX_RUNS})["dag_runs"]
        yield from runs
        if len(runs) < MAX_RUNS:
            break


def count_rows(stage: Stage, run: Row, row: Row, query: Query, uri: Callable[[Table], str]) -> Row:
    """Return rows_in, rows_out, bytes and lag_seconds of a task."""
    if stage.source is None:
        return count_loaded(query, row["run_id"])
    figures: Row = {"rows_in": rows_at(uri(stage.source), row["started_at"])}
    # A try that died may have committed rows. Its commits are within the run, too.
    start, end = read_time(run["start_date"]), row["ended_at"]
    if stage.target is not None:
        figures |= count_written(uri(stage.target), start, end)
    if stage.target is TWEETS_SCORED:
        figures["lag_seconds"] = find_lag(query, start, end)
    return figures


def count_loaded(query: Query, run_id: str) -> Row:
    """Return the figures of the dumps that a run has processed."""
    columns = "run_id, state, records, accepted, bytes"
    dumps = [row for row in query(DUMPS, f"SELECT {columns} FROM t") if row["run_id"] == run_id]  # noqa: S608
    return {
        "rows_in": sum(dump["records"] for dump in dumps),
        "rows_out": sum(dump["accepted"] for dump in dumps if dump["state"] == LOADED),
        "bytes": sum(dump["bytes"] for dump in dumps),
    }


def read_history(uri: str) -> list[Row]:
    """Return the latest commits of a table, with `time`, latest first. A missing table has none."""
    if not DeltaTable.is_deltatable(uri):
        return []
    history = DeltaTable(uri).history(MAX_COMMITS)
    return [commit | {"time": datetime.fromtimestamp(commit["timestamp"] / 1000, UTC)} for commit in history]


def rows_at(uri: str, time: datetime) -> int | None:
    """Return the number of rows of a table at a time, or None if its history does not go back so far."""
    versions = [commit["version"] for commit in read_history(uri) if commit["time"] <= time]
    if not versions:
        return None
    files = pa.table(DeltaTable(uri, version=versions[0]).get_add_actions(flatten=True))
    return int(pc.sum(files["num_records"]).as_py() or 0)


def count_written(uri: str, start: datetime, end: datetime) -> Row:
    """Return the rows and bytes that the commits of a period wrote."""
    commits = [commit for commit in read_history(uri) if start <= commit["time"] <= end]
    metrics = [
        commit.get("operationMetrics") or {}
        for commit in commits
        if commit["operation"] in ("WRITE", "MERGE")
    ]
    return {
        "rows_out": sum(
            int(metric.get(name, 0)) for metric in metrics for name in ROWS if is_total(name, metric)
        ),
        "bytes": sum(int(metric.get(name, 0)) for metric in metrics for name in BYTES),
    }


def is_total(name: str, metric: Row) -> bool:
    """Return whether a metric counts changed rows. `numOutputRows` of a MERGE includes copied rows."""
    return name != "numOutputRows" or "numTargetRowsInserted" not in metric


def find_lag(query: Query, start: datetime, end: datetime) -> float | None:
    """Return the longest time from the delivery to the first score, of the dumps first scored in a period."""
    first = "SELECT dump_sha256, min(measured_at) AS scored_at FROM t GROUP BY dump_sha256"
    scored = {row["dump_sha256"]: row["scored_at"] for row in query(DRIFT, first)}
    delivered = query(DUMPS, "SELECT dump_sha256, delivered_at FROM t")
    lags = [
        (scored[dump["dump_sha256"]] - dump["delivered_at"]).total_seconds()
        for dump in delivered
        if dump["dump_sha256"] in scored and start <= scored[dump["dump_sha256"]] <= end
    ]
    return max(lags, default=None)


def merge(uri: str, rows: list[Row]) -> None:
    """Insert rows into `pipeline_metrics`, or replace those with the same key."""
    schema = pa.schema(
        [(column.name, ARROW_TYPES[column.type], column.nullable) for column in PIPELINE_METRICS.columns]
    )
    DeltaTable.create(uri, schema=Schema.from_arrow(schema), mode="ignore")
    complete = [{name: row.get(name) for name in schema.names} for row in rows]
    same = " AND ".join(f"old.{name} = new.{name}" for name in PIPELINE_METRICS.key)
    (
        DeltaTable(uri)
        .merge(pa.Table.from_pylist(complete, schema), same, source_alias="new", target_alias="old")
        .when_matched_update_all()
        .when_not_matched_insert_all()
        .execute()
    )
