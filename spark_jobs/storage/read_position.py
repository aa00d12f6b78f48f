"""Read position of a stage: the version of its source table that it has processed.

The position is in the commit metadata of the table that the stage writes. The last commit of a run carries
it. If a run dies earlier, its retry reads the same changes again. A position that is not in the log of the
source table, for example after one of the two tables was restored, is not used: the stage reads all rows.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession

from contracts.retention import MIN_RETENTION

USER_METADATA = "spark.databricks.delta.commitInfo.userMetadata"
# These commits change no row, and the change feed of other commits stays readable.
MAINTENANCE = ("OPTIMIZE", "VACUUM START", "VACUUM END")
# By default Delta does not record an UPDATE, DELETE or MERGE that changes nothing.
SKIP_EMPTY_COMMITS = "spark.databricks.delta.skipRecordingEmptyCommits"
TRANSACTION = "spark.databricks.delta.write.txnAppId", "spark.databricks.delta.write.txnVersion"


@dataclass(frozen=True)
class ReadPosition:
    """A version of a source table that a stage has processed, and the rules that it applied.

    `source_id` is Delta's id of the source table. A table that was created again starts at version 0 with
    another id. `source_commit` is the SHA-256 of the commit file of the version. A table that was restored
    from a copy has the same id, but its later versions have other commits. It is None if Delta has removed
    the file.
    """

    stage: str
    rules: str
    source_id: str
    source_version: int
    source_commit: str | None = None


def newest_snapshot(spark: SparkSession, uri: str) -> Any:
    """Return Delta's Snapshot of the newest version of a table.

    `DeltaTable.detail` also adds up the files of the table, which takes seconds in a new session.
    """
    jvm: Any = spark._jvm
    return jvm.org.apache.spark.sql.delta.DeltaLog.forTableWithSnapshot(spark._jsparkSession, uri)._2()


def require_version(spark: SparkSession, uri: str, version: int) -> None:
    """Raise RuntimeError if the newest version of a table is another one.

    A stale run may overlap its retry, and Delta reports no conflict between two appends.
    """
    newest = newest_snapshot(spark, uri).version()
    if newest != version:
        raise RuntimeError(
            f"{uri} changed after it was read: version {newest} instead of {version}. Run the job again"
        )


def position_at(snapshot: Any, stage: str, rules: str) -> ReadPosition:
    """Return the position of a stage that has processed a snapshot of `newest_snapshot`."""
    version = snapshot.version()
    return ReadPosition(stage, rules, snapshot.metadata().id(), version, hash_commit(snapshot, version))


def file_statistics(snapshot: Any) -> list[dict[str, Any]]:
    """Return Delta's statistics of each file of a snapshot: numRecords, minValues, maxValues."""
    return [json.loads(file.stats() or "{}") for file in snapshot.allFiles().collect()]


def commits(snapshot: Any) -> Iterator[dict[str, Any]]:
    """Yield the commitInfo of each commit up to a snapshot, latest first, as far as Delta's log goes back.

    `DeltaTable.history` reads all commits in Spark jobs, which takes a second in a new session. Here the
    first few are sufficient.
    """
    for version in range(snapshot.version(), -1, -1):
        content = read_commit(snapshot, version)
        if content is None:
            return
        actions = content.split("\n")
        infos = (json.loads(action)["commitInfo"] for action in actions if action.startswith('{"commitInfo"'))
        yield next(infos, {})


def read_commit(snapshot: Any, version: int) -> str | None:
    """Return the content of a commit file of a table, or None if Delta has removed it."""
    log = snapshot.deltaLog()
    configuration = log.newDeltaHadoopConf()
    file = log.logPath().suffix(f"/{version:020d}.json")
    if not log.logPath().getFileSystem(configuration).exists(file):
        return None
    return str(log.store().read(file, configuration).mkString("\n"))


def hash_commit(snapshot: Any, version: int) -> str | None:
    """Return the SHA-256 of a commit file of a table, or None if Delta has removed it."""
    content = read_commit(snapshot, version)
    return None if content is None else hashlib.sha256(content.encode()).hexdigest()


def last_position(spark: SparkSession, target_uri: str, stage: str) -> ReadPosition | None:
    """Return the position in the latest commit of a stage to its target table.

    Return None without such a commit, or if a user has restored an earlier version of the table since then.
    """
    if not DeltaTable.isDeltaTable(spark, target_uri):
        return None
    for commit in commits(newest_snapshot(spark, target_uri)):
        if commit.get("operation") == "RESTORE":
            return None
        metadata = commit.get("userMetadata") or ""
        if f'"stage": "{stage}"' in metadata:
            return ReadPosition(**json.loads(metadata))
    return None


@contextmanager
def commit_metadata(spark: SparkSession, position: ReadPosition) -> Iterator[None]:
    """Write the position into every commit of the block.

    It is a session setting because MERGE has no writer options.
    """
    spark.conf.set(USER_METADATA, json.dumps(asdict(position)))
    try:
        yield
    finally:
        spark.conf.unset(USER_METADATA)


@contextmanager
def idempotent_write(spark: SparkSession, stage: str, target_version: int) -> Iterator[None]:
    """Give the commit of the block a Delta transaction id: the stage, and the version after `target_version`.

    If two runs have read the same version of the target table, only one can commit. The id does not contain
    the version of the source table: Delta silently skips a commit whose number is not greater than the last
    one, and the versions of a restored source table start again.
    """
    for setting, value in zip(TRANSACTION, (stage, str(target_version + 1)), strict=True):
        spark.conf.set(setting, value)
    try:
        yield
    finally:
        for setting in TRANSACTION:
            spark.conf.unset(setting)


def record_position(spark: SparkSession, target_uri: str) -> None:
    """Make an empty commit to the target table. Call it within `commit_metadata`."""
    spark.conf.set(SKIP_EMPTY_COMMITS, "false")
    try:
        DeltaTable.forPath(spark, target_uri).delete("false")
    finally:
        spark.conf.unset(SKIP_EMPTY_COMMITS)


def is_up_to_date(last: ReadPosition | None, current: ReadPosition) -> bool:
    """Return whether the last position is the current one."""
    return last == current and current.source_commit is not None


def can_continue(source_snapshot: Any, last: ReadPosition, current: ReadPosition, now: datetime) -> bool:
    """Return whether the changes between two positions are all in the change feed of the source table.

    They are not if the last position has other rules or another table, is ahead of the current one, or has a
    commit that is not in the log of the table.
    """
    return (
        (last.rules, last.source_id) == (current.rules, current.source_id)
        and last.source_version <= current.source_version
        and last.source_commit is not None
        and last.source_commit == hash_commit(source_snapshot, last.source_version)
        and can_read_changes(source_snapshot, last.source_version, now)
    )


def can_read_changes(source_snapshot: Any, after_version: int, now: datetime) -> bool:
    """Return whether the change feed after a version is complete.

    VACUUM removes files older than MIN_RETENTION.
    """
    unread = list(islice(commits(source_snapshot), source_snapshot.version() - after_version))
    if len(unread) != source_snapshot.version() - after_version:  # Delta has removed entries of its log
        return False
    row_changes = [
        datetime.fromtimestamp(commit.get("timestamp", 0) / 1000, UTC)
        for commit in unread
        if commit.get("operation") not in MAINTENANCE
    ]
    return all(now - time < MIN_RETENTION for time in row_changes)


def changed_keys(
    spark: SparkSession, source_uri: str, after_version: int, to_version: int, key: str
) -> DataFrame:
    """Return the keys of the rows that the versions (after, to] changed, with duplicates."""
    changes = (
        spark.read.format("delta")
        .option("readChangeFeed", "true")
        .option("startingVersion", after_version + 1)
        .option("endingVersion", to_version)
        .load(source_uri)
    )
    return changes.select(key)
