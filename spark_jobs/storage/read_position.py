"""Read position of a stage: the version of its source table that it has processed.

The position is in the commit metadata of the table that the stage writes. The last commit of a run carries
it. If a run dies earlier, its retry reads the same changes again.
"""

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
    another id.
    """

    stage: str
    rules: str
    source_id: str
    source_version: int


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
    return ReadPosition(stage, rules, snapshot.metadata().id(), snapshot.version())


def file_statistics(snapshot: Any) -> list[dict[str, Any]]:
    """Return Delta's statistics of each file of a snapshot: numRecords, minValues, maxValues."""
    return [json.loads(file.stats() or "{}") for file in snapshot.allFiles().collect()]


def commits(snapshot: Any) -> Iterator[dict[str, Any]]:
    """Yield the commitInfo of each commit up to a snapshot, latest first, as far as Delta's log goes back.

    `DeltaTable.history` reads all commits in Spark jobs, which takes a second in a new session. Here the
    first few are sufficient.
    """
    log = snapshot.deltaLog()
    configuration = log.newDeltaHadoopConf()
    file_system = log.logPath().getFileSystem(configuration)
    for version in range(snapshot.version(), -1, -1):
        file = log.logPath().suffix(f"/{version:020d}.json")
        if not file_system.exists(file):
            return
        actions = log.store().read(file, configuration).mkString("\n").split("\n")
        infos = (json.loads(action)["commitInfo"] for action in actions if action.startswith('{"commitInfo"'))
        yield next(infos, {})


def last_position(spark: SparkSession, target_uri: str, stage: str) -> ReadPosition | None:
    """Return the position in the latest commit of a stage to its target table, or None."""
    if not DeltaTable.isDeltaTable(spark, target_uri):
        return None
    for commit in commits(newest_snapshot(spark, target_uri)):
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
def idempotent_write(spark: SparkSession, position: ReadPosition) -> Iterator[None]:
    """Use the position as Delta's transaction id for every commit of the block.

    If two runs write the same position at the same time, the second commit fails. A position that is already
    written is not written again.
    """
    transaction = f"{position.stage} {position.rules} {position.source_id}"
    for setting, value in zip(TRANSACTION, (transaction, str(position.source_version)), strict=True):
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
