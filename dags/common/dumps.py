"""The table `dumps` as DAGs read it: in a task, without a JVM, in a second."""

from __future__ import annotations

from typing import Any

from common.assets import DUMPS


def read_dumps(where: str) -> list[dict[str, Any]]:
    """Return the rows of `dumps` for which an SQL condition holds, in the order of delivery; none where the table does not exist yet."""
    import pyarrow
    from deltalake import DeltaTable, QueryBuilder

    if not DeltaTable.is_deltatable(DUMPS):
        return []
    rows = (
        QueryBuilder()
        .register("dumps", DeltaTable(DUMPS))
        .execute(f"SELECT * FROM dumps WHERE {where} ORDER BY delivered_at")
    )  # noqa: S608 (our own conditions)
    found: list[dict[str, Any]] = pyarrow.table(rows.read_all()).to_pylist()
    return found
