"""How far a stage has read the Delta table before it, kept in the commit metadata of what the stage writes.

The position is in the last commit of a run: a run that dies leaves it as it was, and its retry reads the same changes again.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession

USER_METADATA = "spark.databricks.delta.commitInfo.userMetadata"
# VACUUM removes data files that no version of the last 7 days needs (Delta's default), and with them older changes.
CHANGE_FEED_KEPT = timedelta(days=7)
# Commits that change no row, and that leave the change feed of other commits readable.
MAINTENANCE = ("OPTIMIZE", "VACUUM START", "VACUUM END")
# Delta leaves out the commits of UPDATE, DELETE and MERGE that change nothing, unless it is told not to.
SKIP_EMPTY_COMMITS = "spark.databricks.delta.skipRecordingEmptyCommits"
TRANSACTION = "spark.databricks.delta.write.txnAppId", "spark.databricks.delta.write.txnVersion"


@dataclass(frozen=True)
class ReadPosition:
    """By which rules a stage has read which version of its source.

    `source_id` is the id that Delta gave the source table: a table created anew starts again at version 0 under another id.
    """

    stage: str
    rules: str
    source_id: str
    source_version: int


def newest_snapshot(spark: SparkSession, uri: str) -> Any:
    """Delta's own object for the newest version of a table.

    `DeltaTable.detail` also adds up the files of the table, which takes seconds in a new session.
    """
    jvm: Any = spark._jvm
    return jvm.org.apache.spark.sql.delta.DeltaLog.forTableWithSnapshot(spark._jsparkSession, uri)._2()


def require_version(spark: SparkSession, uri: str, version: int) -> None:
    """Raises SystemExit where a table is past the version that what is to be written to it was worked out from.

    A driver that Airflow has given up, and its retry, may both be at work; Delta sees no conflict between two that append.
    """
    newest = newest_snapshot(spark, uri).version()
    if newest != version:
        raise SystemExit(
            f"another run has written to {uri} meanwhile (version {newest} after {version}): try again"
        )


def position_at(snapshot: Any, stage: str, rules: str) -> ReadPosition:
    """The position of a reader that has seen all of `newest_snapshot` of the source table."""
    return ReadPosition(stage, rules, snapshot.metadata().id(), snapshot.version())


def file_statistics(snapshot: Any) -> list[dict[str, Any]]:
    """What Delta keeps of each file of a snapshot: numRecords, minValues and maxValues, where the writer of the file has given them."""
    return [json.loads(file.stats() or "{}") for file in snapshot.allFiles().collect()]


def commits(snapshot: Any) -> Iterator[dict[str, Any]]:
    """The commitInfo of each commit up to `snapshot`, the newest first, as far back as Delta has kept its log.

    `DeltaTable.history` reads all of them in Spark jobs, a second in a new session; here the first few are enough.
    """
    log = snapshot.deltaLog()
    configuration = log.newDeltaHadoopConf()
    file_system = log.logPath().getFileSystem(configuration)
    for version in range(snapshot.version(), -1, -1):
        file = log.logPath().suffix(f"/{version:020d}.json")
        if not file_system.exists(file):
            return
        actions = log.store().read(file, configuration).mkString("\n").split("\n")
        yield next(
            (json.loads(action)["commitInfo"] for action in actions if action.startswith('{"commitInfo"')), {}
        )


def last_position(spark: SparkSession, target_uri: str, stage: str) -> ReadPosition | None:
    """Where the last commit of `stage` to the target table had read to; None where there is no table or no such commit."""
    if not DeltaTable.isDeltaTable(spark, target_uri):
        return None
    for commit in commits(newest_snapshot(spark, target_uri)):
        metadata = commit.get("userMetadata") or ""
        if f'"stage": "{stage}"' in metadata:
            return ReadPosition(**json.loads(metadata))
    return None


@contextmanager
def recorded(spark: SparkSession, position: ReadPosition) -> Iterator[None]:
    """Commits made inside carry `position`. A session setting, because MERGE takes no writer option."""
    spark.conf.set(USER_METADATA, json.dumps(asdict(position)))
    try:
        yield
    finally:
        spark.conf.unset(USER_METADATA)


@contextmanager
def written_once(spark: SparkSession, position: ReadPosition) -> Iterator[None]:
    """Of two writers of one model that commit at the same time the second one fails; a position that is written already is not written again."""
    transaction = f"{position.stage} {position.rules} {position.source_id}"
    for setting, value in zip(TRANSACTION, (transaction, str(position.source_version)), strict=True):
        spark.conf.set(setting, value)
    try:
        yield
    finally:
        for setting in TRANSACTION:
            spark.conf.unset(setting)


def record_position(spark: SparkSession, target_uri: str) -> None:
    """Inside `recorded`: a commit to the target table that carries the position and nothing else."""
    spark.conf.set(SKIP_EMPTY_COMMITS, "false")
    try:
        DeltaTable.forPath(spark, target_uri).delete("false")
    finally:
        spark.conf.unset(SKIP_EMPTY_COMMITS)


def changes_are_kept(source_snapshot: Any, after_version: int, now: datetime) -> bool:
    """Whether all changes after `after_version` can still be read: VACUUM may have removed files of older commits."""
    unread = list(islice(commits(source_snapshot), source_snapshot.version() - after_version))
    if len(unread) != source_snapshot.version() - after_version:  # Delta has removed entries of its log
        return False
    row_changes = [
        datetime.fromtimestamp(commit.get("timestamp", 0) / 1000, UTC)
        for commit in unread
        if commit.get("operation") not in MAINTENANCE
    ]
    return all(now - time < CHANGE_FEED_KEPT for time in row_changes)


def changed_keys(
    spark: SparkSession, source_uri: str, after_version: int, to_version: int, key: str
) -> DataFrame:
    """The values of column `key`, some more than once, in the rows that were inserted, updated or deleted in the versions (after, to]."""
    changes = (
        spark.read.format("delta")
        .option("readChangeFeed", "true")
        .option("startingVersion", after_version + 1)
        .option("endingVersion", to_version)
        .load(source_uri)
    )
    return changes.select(key)
