"""The table `mappings`: what users have said about the columns of dumps, by the hash of the header."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from contracts.tables import MAPPINGS
from loading.tables.commits import commit_files, next_transaction
from loading.tables.conflicts import retry_on_conflict
from loading.tables.parquet_files import write_file
from loading.tables.queries import query
from loading.tables.schemas import arrow_schema, create_table

Row = dict[str, Any]
Parts = Mapping[str, Any]  # of a mapping, by name, as `--mapping` accepts them


def hash_header(header: Sequence[str]) -> str:
    """Return the key of a header: the SHA-256 of its names as a JSON list, in lower-case hexadecimal."""
    return hashlib.sha256(json.dumps(list(header), ensure_ascii=False).encode()).hexdigest()


def read_mappings(uri: str) -> dict[str, Row]:
    """Return the rows of `mappings` by the hash of the header, none if the table does not exist."""
    return _read_rows(DeltaTable(uri)) if DeltaTable.is_deltatable(uri) else {}


def _read_rows(table: DeltaTable) -> dict[str, Row]:
    return {row["header_sha256"]: row for row in query(table, "SELECT * FROM t").read_all().to_pylist()}


def recall_mapping(uri: str, header: Sequence[str]) -> Parts | None:
    """Return the parts of the mapping that a user gave for a header and did not withdraw."""
    row = read_mappings(uri).get(hash_header(header))
    return json.loads(row["mapping"]) if row and row["withdrawn_at"] is None else None


def remember_mapping(uri: str, header: Sequence[str], parts: Parts, user: str) -> None:
    """Store the mapping that a user gave for a header. It replaces an earlier one."""
    row = {
        "header_sha256": hash_header(header),
        "header": json.dumps(list(header), ensure_ascii=False),
        "mapping": json.dumps(dict(parts), ensure_ascii=False),
        "given_by": user,
        "given_at": datetime.now(UTC),
        "withdrawn_at": None,
    }
    create_table(uri, MAPPINGS)
    retry_on_conflict(lambda: _upsert(uri, row))


def withdraw_mapping(uri: str, header_sha256: str) -> Row | None:
    """Mark a mapping as withdrawn. Return its row, None if there is none in use."""

    def attempt() -> Row | None:
        row = read_mappings(uri).get(header_sha256)
        if row is None or row["withdrawn_at"] is not None:
            return None
        row["withdrawn_at"] = datetime.now(UTC)
        _upsert(uri, row)
        return row

    return retry_on_conflict(attempt)


def _upsert(uri: str, row: Mapping[str, Any]) -> None:
    table = DeltaTable(uri)
    current = _read_rows(table).get(row["header_sha256"])
    rows = pa.Table.from_pylist([dict(row)], schema=arrow_schema(MAPPINGS))
    properties = next_transaction(table, row["header_sha256"])
    if current is None:
        commit_files(table, [write_file(table.table_uri, None, rows)], properties)
        return
    merger = table.merge(
        rows, "old.header_sha256 = new.header_sha256", "new", "old", commit_properties=properties
    )
    merger.when_matched_update_all().execute()
