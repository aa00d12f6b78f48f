"""Read back what the platform holds: rows of each table, the account of a dump, the models in MLflow."""

from __future__ import annotations

import socket
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pyarrow
from deltalake import DeltaTable, QueryBuilder
from rich.console import Group
from rich.table import Table

from deploy.deployment import Deployment

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

TABLES = ("dumps", "tweets_raw", "quarantine", "tweets_clean", "tweets_scored")
ACCOUNT_ROWS = {
    "records": "records in the dump",
    "accepted": "accepted in the dump",
    "known": "  of these known before",
    "duplicates": "duplicates in the dump",
    "quarantined": "quarantined in the dump",
}
EXPERIMENT = "vaxpulse"
MODEL = "vaxpulse"
MODEL_FIGURES = {
    "accuracy": "eval_accuracy",
    "macro_f1": "eval_macro_f1",
    "rmse": "eval_rmse",
    "seconds": "train_runtime_seconds",
}


def table(settings: Deployment, name: str) -> DeltaTable | None:
    """Return a Delta table, None when it was never written."""
    address = urlsplit(settings.hdfs)
    with socket.create_connection((str(address.hostname), address.port or 0), timeout=5):
        pass  # the client would try for more than a minute to reach a file system that is down
    uri = f"{settings.hdfs}/vaxpulse/tables/{name}"
    return DeltaTable(uri) if DeltaTable.is_deltatable(uri) else None


def query(delta: DeltaTable, sql: str) -> list[dict[str, Any]]:
    """Return the rows of a query on a Delta table, which it knows as `t`."""
    rows: list[dict[str, Any]] = pyarrow.table(
        QueryBuilder().register("t", delta).execute(sql).read_all()
    ).to_pylist()
    return rows


def row_counts(settings: Deployment) -> dict[str, int]:
    """Return the number of rows in each table that exists."""
    found = {name: table(settings, name) for name in TABLES}
    return {
        name: query(delta, "SELECT count(*) AS rows FROM t")[0]["rows"]
        for name, delta in found.items()
        if delta
    }


def dump_account(settings: Deployment, run_id: str, source: str) -> dict[str, Any] | None:
    """Return the row of `dumps` that a run wrote, else the newest one from the same source."""
    dumps = table(settings, "dumps")
    rows = query(dumps, "SELECT * FROM t ORDER BY ingested_at DESC") if dumps else []
    recorded = recorded_source(source)
    return next(
        (row for row in rows if row["run_id"] == run_id),
        next((row for row in rows if row["source"] == recorded), None),
    )


def recorded_source(source: str) -> str:
    """Return a dump's source as `dumps` records it: a file's name, a path in HDFS, a URL without credentials and query.

    >>> recorded_source("https://ann:secret@example.org:8443/a.csv?signature=1"), recorded_source("dumps/a.csv")
    ('https://example.org:8443/a.csv', 'a.csv')
    """
    address = urlsplit(source)
    if not address.scheme:
        return PurePosixPath(source).name
    if address.scheme == "hdfs":
        return address.path
    return address._replace(netloc=address.netloc.rpartition("@")[2], query="", fragment="").geturl()


def split_counts(settings: Deployment) -> dict[str, int]:
    """Return the number of clean tweets on each side of the split."""
    clean = table(settings, "tweets_clean")
    rows = (
        query(clean, "SELECT split, count(*) AS rows FROM t GROUP BY split ORDER BY split") if clean else []
    )
    return {row["split"]: row["rows"] for row in rows}


def mlflow_client(settings: Deployment) -> MlflowClient:
    """Return a client of the tracking server; it logs in with MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD where they are set."""
    from mlflow import MlflowClient  # 1.6 s of processor time, for those who ask

    return MlflowClient(settings.url("mlflow"))


def models(settings: Deployment, most: int = 20) -> list[dict[str, Any]]:
    """Return the finished training runs in MLflow, the newest first."""
    client = mlflow_client(settings)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        return []
    runs = client.search_runs(
        [experiment.experiment_id],
        "attributes.status = 'FINISHED' AND metrics.eval_accuracy > 0",
        order_by=["attributes.start_time DESC"],
        max_results=most,
    )
    return [describe_run(run) for run in runs]


def describe_run(run: Run) -> dict[str, Any]:
    """Return the figures of an MLflow run that people compare."""
    return {
        "preset": run.data.tags.get("preset", "?"),
        **{figure: run.data.metrics.get(key) for figure, key in MODEL_FIGURES.items()},
        "run_id": run.info.run_id,
        "airflow_run_id": run.data.tags.get("airflow_run_id"),
    }


def champion(settings: Deployment) -> dict[str, str] | None:
    """Return the model version that carries the alias `champion`, None when there is none."""
    client = mlflow_client(settings)
    registered = client.search_registered_models(f"name = '{MODEL}'")
    version = registered[0].aliases.get("champion") if registered else None
    return {"name": MODEL, "version": str(version)} if version else None


def result_tables(
    account: dict[str, Any] | None, splits: dict[str, int], trained: list[dict[str, Any]]
) -> Group:
    """Return what came of a run as tables for people."""
    return Group(*filter(None, [rows_table(account, splits), models_table(trained) if trained else None]))


def rows_table(account: dict[str, Any] | None, splits: dict[str, int]) -> Table:
    """Return the account of one dump, and the split of all clean tweets."""
    shown = Table(title="Rows", title_justify="left", caption_justify="left")
    shown.add_column("")
    shown.add_column("rows", justify="right")
    if account:
        shown.add_row("state of the dump", account["state"])
        for name, title in ACCOUNT_ROWS.items():
            if account[name] is not None:  # a dump that could not be read has no counts
                shown.add_row(title, f"{account[name]:,}")
        shown.add_section()
        if account["reason"]:
            shown.caption = f"{account['state']}: {account['reason']}"
    shown.add_row("clean tweets", f"{sum(splits.values()):,}")
    for name, rows in splits.items():
        shown.add_row(f"  {name}", f"{rows:,}")
    return shown


def models_table(trained: list[dict[str, Any]]) -> Table:
    """Return the models' figures on the eval side."""
    shown = Table(title="Models, measured on the eval side", title_justify="left")
    shown.add_column("model")
    for name in ("accuracy", "macro-F1", "RMSE", "seconds"):
        shown.add_column(name, justify="right")
    for model in trained:
        figures = [
            f"{model['accuracy']:.1%}",
            f"{model['macro_f1']:.3f}",
            f"{model['rmse']:.3f}",
            f"{model['seconds']:.0f}",
        ]
        shown.add_row(model["preset"], *figures)
    return shown
