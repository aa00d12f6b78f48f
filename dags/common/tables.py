"""Delta tables as DAGs look at them: in a task, without a JVM."""

from __future__ import annotations


def newest_version(uri: str) -> int | None:
    """Return the newest version of a table, None where there is none: the program that is told to read it says what to do."""
    from deltalake import DeltaTable

    return DeltaTable(uri).version() if DeltaTable.is_deltatable(uri) else None
