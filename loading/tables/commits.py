"""Append the rows of a dump to a table, or remove them, in one commit that is safe to repeat.

`tweets_raw` and `quarantine` are append-only logs. Each append and each removal of a dump's rows has a Delta
transaction id: the application is the dump's hash, the version is odd after an append and even after a
removal. Thus a table records whether it contains a dump in the same commit as the rows, and a retry or a
concurrent loader finds that the work is done.
"""

from collections.abc import Iterable

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction, RemoveAction

from loading.tables.conflicts import retry_on_conflict
from loading.tables.parquet_files import write_files


def contains_dump(table: DeltaTable, sha256: str) -> bool:
    """Return whether the table contains the rows of a dump."""
    return (table.transaction_version(sha256) or 0) % 2 == 1


def next_transaction(table: DeltaTable, sha256: str) -> CommitProperties:
    """Return the properties of the next commit for a dump. Of two concurrent ones, the second fails."""
    version = (table.transaction_version(sha256) or 0) + 1
    return CommitProperties(app_transactions=[Transaction(sha256, version)])


def append_dump(table: DeltaTable, sha256: str, batches: Iterable[pa.RecordBatch]) -> bool:
    """Append the rows of a dump in one commit unless the table contains them. Return whether this call did.

    Args:
        table: the latest version of a table.
        sha256: the dump's hash.
        batches: rows of the table's schema. The commit does not validate them.

    Raises:
        RuntimeError: another process has appended and removed the dump during this call.
    """
    if contains_dump(table, sha256):
        return False
    version, properties = table.transaction_version(sha256), next_transaction(table, sha256)
    files = write_files(table.table_uri, sha256, batches)

    def attempt() -> bool:
        latest = DeltaTable(table.table_uri)
        # Commits for other dumps do not matter.
        if latest.transaction_version(sha256) == version:
            commit_files(latest, files, properties)
            return True
        if contains_dump(latest, sha256):
            return False
        raise RuntimeError(f"another process has appended and removed the dump {sha256} meanwhile")

    try:
        commit_files(table, files, properties)
    except CommitFailedError:
        return retry_on_conflict(attempt)
    return True


def commit_files(
    table: DeltaTable, files: list[AddAction | RemoveAction], properties: CommitProperties
) -> None:
    """Append files to a table."""
    table.create_write_transaction(
        files, mode="append", schema=table.schema(), partition_by=[], commit_properties=properties
    )


def remove_dump(uri: str, sha256: str) -> int:
    """Delete the rows of a dump and return their number, 0 if the table does not contain them."""

    def attempt() -> int:
        if not DeltaTable.is_deltatable(uri):
            return 0
        table = DeltaTable(uri)
        if not contains_dump(table, sha256):
            return 0
        properties = next_transaction(table, sha256)
        metrics = table.delete(f"dump_sha256 = '{sha256}'", commit_properties=properties)
        if not metrics["num_deleted_rows"]:
            # Maintenance has deleted all rows, so `delete` made no commit. Record the transaction anyway.
            commit_files(table, [], properties)
        return int(metrics["num_deleted_rows"] or 0)

    return retry_on_conflict(attempt)
