"""Rows of Delta tables that are no longer needed."""

from datetime import datetime
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder

from contracts.tables import HELD


def query(uri: str, sql: str) -> list[dict[str, Any]]:
    """Return the rows of a query on a table, with the name `t`. A missing table has no rows."""
    if not DeltaTable.is_deltatable(uri):
        return []
    rows = QueryBuilder().register("t", DeltaTable(uri)).execute(sql).read_all()
    found: list[dict[str, Any]] = pa.table(rows).to_pylist()
    return found


def delete_old_scores(uri: str, before: datetime, champion: tuple[str, str] | None) -> dict[str, int]:
    """Delete the scores of models that have scored nothing since a time. Return the number of rows by model.

    Args:
        uri: tweets_scored. Each model is a partition, so that no file is rewritten.
        before: the time.
        champion: name and version of the model whose scores stay. Without a champion nothing is deleted.
    """
    if champion is None:
        return {}
    models = query(
        uri,
        "SELECT model_name, model_version, count(*) AS rows, max(scored_at) AS last FROM t "
        "GROUP BY model_name, model_version",
    )
    deleted = {}
    for model in models:
        name, version = model["model_name"], model["model_version"]
        if (name, version) != champion and model["last"] < before:
            DeltaTable(uri).delete(f"model_name = '{name}' AND model_version = '{version}'")
            deleted[f"{name} version {version}"] = model["rows"]
    return deleted


def delete_old_quarantine(uri: str, dumps_uri: str, before: datetime) -> dict[str, int]:
    """Delete the invalid records of dumps that were delivered and decided before a time.

    Records of held dumps stay.

    Returns:
        The number of records by the SHA-256 of the dump.
    """
    found = query(uri, "SELECT dump_sha256, count(*) AS rows FROM t GROUP BY dump_sha256")
    old = {
        row["dump_sha256"]
        for row in query(dumps_uri, "SELECT dump_sha256, state, delivered_at, ingested_at FROM t")
        if max(row["delivered_at"], row["ingested_at"]) < before and row["state"] != HELD
    }
    deleted = {row["dump_sha256"]: row["rows"] for row in found if row["dump_sha256"] in old}
    if deleted:
        hashes = ", ".join(f"'{sha256}'" for sha256 in deleted)
        DeltaTable(uri).delete(f"dump_sha256 IN ({hashes})")
    return deleted
