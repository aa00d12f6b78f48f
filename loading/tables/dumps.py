"""The table `dumps`: one row per dump with its state and counts."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction

from contracts.labels import CLASS_NAMES
from contracts.tables import DUMPS, FAILED, MAX_CLOCK_DIFFERENCE
from loading.files import Delivery
from loading.tables.commits import commit_files, next_transaction
from loading.tables.conflicts import retry_on_conflict
from loading.tables.parquet_files import read_added_files, write_file
from loading.tables.queries import query
from loading.tables.schemas import Tables, arrow_schema, create_table

Row = dict[str, Any]


# Columns of a row without a reading of the dump.
COUNTS = ("records", "accepted", "known", "duplicates", "quarantined", *CLASS_NAMES)


def read_dumps(tables: Tables) -> dict[str, Row]:
    """Return the rows of `dumps` by hash, none if the table does not exist."""
    return read_rows(DeltaTable(tables.dumps)) if DeltaTable.is_deltatable(tables.dumps) else {}


def read_rows(table: DeltaTable, sha256: str | None = None) -> dict[str, Row]:
    """Return the rows of an open version of `dumps` by hash: all, or that of a dump.

    For one dump, only the files are opened whose statistics contain its hash.
    """
    condition = f" WHERE dump_sha256 = '{sha256}'" if sha256 else ""
    rows = query(table, f"SELECT * FROM t{condition}").read_all().to_pylist()  # noqa: S608 (a hash)
    return {row["dump_sha256"]: row for row in rows}


class DumpRows:
    """The rows of `dumps` by hash, kept while a batch of dumps is loaded.

    Each new dump adds a file with one row. Each file is read once, unless files were removed.
    """

    def __init__(self) -> None:
        self._files: frozenset[str] = frozenset()
        self._table: DeltaTable | None = None
        self._rows: dict[str, Row] = {}

    def read(self, tables: Tables) -> dict[str, Row]:
        """Return the rows of the latest version, none if the table does not exist."""
        if self._table is not None:
            self._table.update_incremental()
        elif DeltaTable.is_deltatable(tables.dumps):
            self._table = DeltaTable(tables.dumps)
        else:
            return {}
        self._files, added = read_added_files(self._table, self._files)
        if added is None:
            self._rows = read_rows(self._table)
        else:
            self._rows |= {row["dump_sha256"]: row for row in added.to_pylist()}
        return self._rows


def upsert_dump(tables: Tables, row: Mapping[str, Any], *, replaces: tuple[str, ...]) -> Row:
    """Write the row of a dump unless the current state is not in `replaces`. Return the current row."""
    sha256 = row["dump_sha256"]
    create_table(tables.dumps, DUMPS)

    def attempt() -> Row:
        table = DeltaTable(tables.dumps)
        current = read_rows(table, sha256).get(sha256)
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


def delete_dump(tables: Tables, sha256: str) -> None:
    """Delete the row of a dump."""
    retry_on_conflict(lambda: DeltaTable(tables.dumps).delete(f"dump_sha256 = '{sha256}'"))


def failed_row(sha256: str, delivery: Delivery, size: int, reason: str, run_id: str) -> Row:
    """Return the row of a dump that could not be read or stored."""
    row = dict.fromkeys(DUMPS.column_names()) | dict.fromkeys(COUNTS, 0)
    origin = {"source": delivery.source, "delivered_at": delivery.delivered_at, "bytes": size}
    return row | origin | {"dump_sha256": sha256, "state": FAILED, "reason": reason, "run_id": run_id}


def count_failure(tables: Tables, name: str, once_per: str | None) -> int:
    """Record that the delivery with this file name could not be processed. Return how often this happened.

    The count is the version of a Delta transaction in `dumps`, so that it survives a crash.

    Args:
        tables: the tables.
        name: name of the delivered file.
        once_per: failures with the same value are counted once. None counts each failure.
    """
    create_table(tables.dumps, DUMPS)
    failures, failure = f"failures of {name}", f"failure of {name} in {once_per}"

    def attempt() -> int:
        table = DeltaTable(tables.dumps)
        count = table.transaction_version(failures) or 0
        if once_per is not None and table.transaction_version(failure):
            return count
        transactions = [Transaction(failures, count + 1)]
        if once_per is not None:
            transactions.append(Transaction(failure, 1))
        commit_files(table, [], CommitProperties(app_transactions=transactions))
        return count + 1

    return retry_on_conflict(attempt)


def date_delivery(delivery: Delivery, row: Row | None, now: datetime) -> Delivery:
    """Return a delivery with the time of the first delivery of its content, at most `now`.

    A clock that was ahead at the time of the delivery would otherwise let the dump supersede all dumps that
    are delivered until then.

    Args:
        delivery: the delivery.
        row: the row of its content in `dumps`, or None.
        now: the time of processing.
    """
    first: datetime = row["delivered_at"] if row else delivery.delivered_at
    if first <= now:
        return replace(delivery, delivered_at=first)
    processed = now.replace(microsecond=now.microsecond // 1000 * 1000)
    note = f"it was dated {first:%Y-%m-%d %H:%M} UTC by a wrong clock, and has the time of its processing"
    return replace(
        delivery, delivered_at=processed, note=note if first - now > MAX_CLOCK_DIFFERENCE else None
    )
