"""The table `dumps`: one row per dump with its state and counts."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from contracts.tables import DUMPS
from loading.tables.commits import commit_files, next_transaction
from loading.tables.conflicts import retry_on_conflict
from loading.tables.parquet_files import write_file
from loading.tables.queries import query
from loading.tables.schemas import Tables, arrow_schema, create_table

Row = dict[str, Any]


def read_dumps(tables: Tables) -> dict[str, Row]:
    """Return the rows of `dumps` by hash, none if the table does not exist."""
    return read_rows(DeltaTable(tables.dumps)) if DeltaTable.is_deltatable(tables.dumps) else {}


def read_rows(table: DeltaTable) -> dict[str, Row]:
    """Return the rows of an open version of `dumps` by hash."""
    return {row["dump_sha256"]: row for row in query(table, "SELECT * FROM t").read_all().to_pylist()}


def upsert_dump(tables: Tables, row: Mapping[str, Any], *, replaces: tuple[str, ...]) -> Row:
    """Write the row of a dump unless the current state is not in `replaces`. Return the current row."""
    sha256 = row["dump_sha256"]
    create_table(tables.dumps, DUMPS)

    def attempt() -> Row:
        table = DeltaTable(tables.dumps)
        current = read_rows(table).get(sha256)
        if current and current["state"] not in replaces:
            return current
        new = {**row, "ingested_at": datetime.now(UTC)}
        rows = pa.Table.from_pylist([new], schema=arrow_schema(DUMPS))
        properties = next_transaction(table, sha256)
        if current is None:
            commit_files(table, [write_file(table.table_uri, sha256, rows)], properties)
        else:
            merger = table.merge(
                rows, "old.dump_sha256 = new.dump_sha256", "new", "old", commit_properties=properties
            )
            merger.when_matched_update_all().execute()
        return new

    return retry_on_conflict(attempt)
