"""Queries of Delta tables in DAG tasks, without a JVM."""

import json
from typing import Any

from contracts.tables import Table
from vaxpulse_dags.assets import DRIFT_TABLE, DUMPS, MAPPINGS, QUARANTINE, table_uri


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


def query_table(table: Table, sql: str) -> list[dict[str, Any]]:
    """Return the rows of an SQL query on a table of `contracts.tables`."""
    return query(table_uri(table), sql)


def read_dumps(condition: str) -> list[dict[str, Any]]:
    """Return the rows of `dumps` that fulfil an SQL condition, in the order of delivery."""
    return query(DUMPS, f"SELECT * FROM t WHERE {condition} ORDER BY delivered_at")  # noqa: S608 (no user input)


def read_json(dump: dict[str, Any], column: str, default: Any) -> Any:
    """Return the value of a JSON column of `dumps`. Rows of earlier versions have none."""
    return json.loads(dump.get(column) or "null") or default


def read_rejected_samples(sha256: str, per_reason: int, reasons: int = 20) -> list[dict[str, Any]]:
    """Return the first quarantined records of a dump for each of the most frequent reasons.

    Returns:
        Rows with the columns reason (without the number of another record), records and raw_record.
    """
    records = f"""
        SELECT regexp_replace(reason, 'record [0-9]+$', 'another record') AS reason, raw_record,
            row_number AS place FROM t WHERE dump_sha256 = '{sha256}'"""  # noqa: S608 (a hash)
    numbered = f"""
        SELECT *, count(*) OVER (PARTITION BY reason) AS records,
            row_number() OVER (PARTITION BY reason ORDER BY place) AS number FROM ({records})"""  # noqa: S608
    sql = f"""
        SELECT reason, records, raw_record FROM ({numbered}) WHERE number <= {per_reason}
        ORDER BY records DESC, reason, number LIMIT {reasons * per_reason}"""  # noqa: S608
    return query(QUARANTINE, sql)


def read_mappings() -> list[dict[str, Any]]:
    """Return the rows of `mappings`, the latest first."""
    return query(MAPPINGS, "SELECT * FROM t ORDER BY given_at DESC")


def read_drifted_dumps() -> list[str]:
    """Return the SHA-256 of each dump that exceeded a drift limit of a current or former champion."""
    rows = query(DRIFT_TABLE, "SELECT dump_sha256, breaches FROM t ORDER BY measured_at")
    return [row["dump_sha256"] for row in rows if row["breaches"]]
