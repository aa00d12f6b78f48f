"""Queries of Delta tables in DAG tasks, without a JVM."""

from typing import Any

from vaxpulse_dags.assets import DRIFT_TABLE, DUMPS


def latest_version(uri: str) -> int | None:
    """Return the latest version of a table, or None if the table does not exist."""
    from deltalake import DeltaTable

    return DeltaTable(uri).version() if DeltaTable.is_deltatable(uri) else None


def query(uri: str, sql: str) -> list[dict[str, Any]]:
    """Return the rows of an SQL query on a table, with the name `t`. A missing table has no rows."""
    import pyarrow
    from deltalake import DeltaTable, QueryBuilder

    if not DeltaTable.is_deltatable(uri):
        return []
    rows = QueryBuilder().register("t", DeltaTable(uri)).execute(sql).read_all()
    found: list[dict[str, Any]] = pyarrow.table(rows).to_pylist()
    return found


def read_dumps(condition: str) -> list[dict[str, Any]]:
    """Return the rows of `dumps` that fulfil an SQL condition, in the order of delivery."""
    return query(DUMPS, f"SELECT * FROM t WHERE {condition} ORDER BY delivered_at")  # noqa: S608 (no user input)


def read_drifted_dumps() -> list[str]:
    """Return the SHA-256 of each dump that exceeded a drift limit of a current or former champion."""
    rows = query(DRIFT_TABLE, "SELECT dump_sha256, breaches FROM t ORDER BY measured_at")
    return [row["dump_sha256"] for row in rows if row["breaches"]]
