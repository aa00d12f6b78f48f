"""Read the state of a platform: row counts of the tables, the row of a dump in `dumps`, models in MLflow."""

import re
import socket
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pyarrow
from deltalake import DeltaTable, QueryBuilder

from contracts import hdfs_paths, mlflow_names
from contracts.delivered_names import show_source
from contracts.tables import TABLES, Table
from deploy.common.deployment import Deployment

if TYPE_CHECKING:
    from mlflow import MlflowClient


def open_table(deployment: Deployment, name: str) -> DeltaTable | None:
    """Return a Delta table, or None if it does not exist yet."""
    address = urlsplit(deployment.hdfs)
    with socket.create_connection((str(address.hostname), address.port or 0), timeout=5):
        pass  # fail early: deltalake's HDFS client retries for more than a minute
    uri = hdfs_paths.uri(deployment.hdfs, hdfs_paths.table_path(name))
    return DeltaTable(uri) if DeltaTable.is_deltatable(uri) else None


def query(table: DeltaTable, sql: str) -> list[dict[str, Any]]:
    """Return the rows of an SQL query on a Delta table. The query refers to the table as `t`."""
    batches = QueryBuilder().register("t", table).execute(sql).read_all()
    rows: list[dict[str, Any]] = pyarrow.table(batches).to_pylist()
    return rows


def query_table(deployment: Deployment, table: Table, sql: str) -> list[dict[str, Any]]:
    """Return the rows of an SQL query on a table, empty if it does not exist."""
    opened = open_table(deployment, table.name)
    return query(opened, sql) if opened else []


def row_counts(deployment: Deployment) -> dict[str, int]:
    """Return the number of rows of each table that exists."""
    tables = {table.name: open_table(deployment, table.name) for table in TABLES}
    count = "SELECT count(*) AS rows FROM t"
    return {name: query(table, count)[0]["rows"] for name, table in tables.items() if table}


def dump_record(deployment: Deployment, run_id: str, source: str) -> dict[str, Any] | None:
    """Return the row of `dumps` that a run wrote, otherwise the newest row with the same source, or None."""
    dumps = open_table(deployment, "dumps")
    rows = query(dumps, "SELECT * FROM t ORDER BY ingested_at DESC") if dumps else []
    recorded = recorded_source(source)
    return next(
        (row for row in rows if row["run_id"] == run_id),
        next((row for row in rows if row["source"] == recorded), None),
    )


def dump_sources(deployment: Deployment) -> set[str]:
    """Return the names of all dumps that were delivered, also of those that were not loaded."""
    dumps = open_table(deployment, "dumps")
    return {row["source"] for row in query(dumps, "SELECT source FROM t")} if dumps else set()


def recorded_source(source: str) -> str:
    """Return `source` as `dumps` stores it: file name, path in HDFS, or URL without query and fragment.

    >>> recorded_source("https://example.org:8443/a.csv?signature=1")
    'https://example.org:8443/a.csv'
    >>> recorded_source("hdfs://namenode:8020/a#1.csv")
    '/a#1.csv'
    >>> recorded_source("dumps/a.csv")
    'a.csv'
    """
    scheme, separator, rest = source.partition("://")
    if not separator:
        return show_source(PurePosixPath(source).name)
    if scheme == "hdfs":
        return show_source("/" + rest.partition("/")[2])
    return re.split(r"[?#]", source, maxsplit=1)[0]


def split_counts(deployment: Deployment) -> dict[str, int]:
    """Return the number of rows of `tweets_clean` by split."""
    clean = open_table(deployment, "tweets_clean")
    count = "SELECT split, count(*) AS rows FROM t GROUP BY split ORDER BY split"
    return {row["split"]: row["rows"] for row in (query(clean, count) if clean else [])}


def mlflow_client(deployment: Deployment) -> "MlflowClient":
    """Return a client of the tracking server. Credentials: MLFLOW_TRACKING_USERNAME and _PASSWORD."""
    from mlflow import MlflowClient  # the import takes 1.6 s of CPU time

    return MlflowClient(deployment.url("mlflow"))


def models(deployment: Deployment) -> list[dict[str, Any]]:
    """Return the finished training runs in MLflow, newest first."""
    client = mlflow_client(deployment)
    experiment = client.get_experiment_by_name(mlflow_names.TRAINING_EXPERIMENT)
    if experiment is None:
        return []
    runs = client.search_runs(
        [experiment.experiment_id],
        f"attributes.status = 'FINISHED' AND metrics.`{mlflow_names.EVAL_ACCURACY}` > 0",
        order_by=["attributes.start_time DESC"],
        max_results=20,
    )
    return [
        {
            "preset": run.data.tags.get("preset", "?"),
            "accuracy": run.data.metrics.get(mlflow_names.EVAL_ACCURACY),
            "macro_f1": run.data.metrics.get(mlflow_names.EVAL_MACRO_F1),
            "rmse": run.data.metrics.get(mlflow_names.EVAL_RMSE),
            "seconds": run.data.metrics.get(mlflow_names.TRAIN_SECONDS),
            "run_id": run.info.run_id,
            "airflow_run_id": run.data.tags.get("airflow_run_id"),
        }
        for run in runs
    ]


def champion(deployment: Deployment) -> dict[str, str] | None:
    """Return name and version of the champion model, or None."""
    from mlflow.exceptions import MlflowException

    name = mlflow_names.REGISTERED_MODEL
    try:
        version = mlflow_client(deployment).get_model_version_by_alias(name, mlflow_names.CHAMPION_ALIAS)
    except MlflowException as error:
        if error.error_code in mlflow_names.NO_SUCH_VERSION_ERRORS:
            return None
        raise
    return {"name": name, "version": str(version.version)}
