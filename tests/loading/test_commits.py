"""Commits that conflict with commits of other processes."""

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from contracts.tables import QUARANTINE
from loading.tables import commits
from loading.tables.commits import append_dump, remove_dump
from loading.tables.conflicts import retry_on_conflict
from loading.tables.schemas import arrow_schema, create_table

CONFLICT = CommitFailedError("Failed to commit transaction: Concurrent transaction failed.")
SHA256 = "ab" * 32
ROWS = [{"dump_sha256": SHA256, "row_number": 1, "raw_record": "no id,x,,", "reason": "tweet_id is missing"}]


class Attempts:
    """An attempt that raises these errors, one per call, then returns "committed". It records the pauses."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0
        self.pauses: list[float] = []

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "committed"


@pytest.fixture
def uri(tmp_path: Path) -> str:
    create_table(str(tmp_path), QUARANTINE)
    return str(tmp_path)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the list to which retries add their pauses instead of sleeping."""
    found: list[float] = []
    real = retry_on_conflict
    monkeypatch.setattr(commits, "retry_on_conflict", lambda attempt: real(attempt, found.append))
    return found


def batches() -> list[pa.RecordBatch]:
    return pa.Table.from_pylist(ROWS, arrow_schema(QUARANTINE)).to_batches()


def test_conflict_is_retried_after_growing_random_pauses() -> None:
    attempt = Attempts(*[CONFLICT] * 8)
    assert retry_on_conflict(attempt, attempt.pauses.append) == "committed"
    limits = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert all(limit / 2 <= pause <= limit for pause, limit in zip(attempt.pauses, limits, strict=True))
    assert len(set(attempt.pauses)) == len(limits)


def test_number_of_tries_is_limited() -> None:
    attempt = Attempts(*[CONFLICT] * 100)
    with pytest.raises(CommitFailedError):
        retry_on_conflict(attempt, attempt.pauses.append)
    assert (attempt.calls, len(attempt.pauses)) == (10, 9)


def test_other_exceptions_are_not_retried() -> None:
    attempt = Attempts(RuntimeError("another process has appended and removed the dump"))
    with pytest.raises(RuntimeError):
        retry_on_conflict(attempt, attempt.pauses.append)
    assert (attempt.calls, attempt.pauses) == (1, [])


def test_commit_that_the_table_rejects_is_not_retried(uri: str, pauses: list[float]) -> None:
    append_dump(DeltaTable(uri), SHA256, batches())
    DeltaTable(uri).alter.set_table_properties({"delta.appendOnly": "true"})
    with pytest.raises(CommitFailedError, match="append-only"):
        remove_dump(uri, SHA256)
    assert pauses == []


def test_dump_that_another_process_has_appended_and_removed_is_not_retried(
    uri: str, pauses: list[float]
) -> None:
    stale = DeltaTable(uri)
    append_dump(DeltaTable(uri), SHA256, batches())
    assert remove_dump(uri, SHA256) == 1
    with pytest.raises(RuntimeError, match="appended and removed"):
        append_dump(stale, SHA256, batches())
    assert pauses == []


def test_append_succeeds_after_a_concurrent_metadata_change(uri: str, pauses: list[float]) -> None:
    # If two loaders create the table, the second creation is a metadata change for the first loader.
    stale = DeltaTable(uri)
    DeltaTable(uri).alter.set_table_properties({"delta.logRetentionDuration": "interval 400 days"})
    assert append_dump(stale, SHA256, batches())
    assert not append_dump(DeltaTable(uri), SHA256, batches())
    assert len(DeltaTable(uri).to_pyarrow_table()) == 1
    assert pauses == []
