"""How far a stage has read the Delta table before it, kept in the commit metadata of what the stage writes.

Data and position are one commit: a run that dies leaves neither, and its retry reads the same changes again.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

USER_METADATA = "spark.databricks.delta.commitInfo.userMetadata"
# VACUUM removes data files that no version of the last 7 days needs (Delta's default), and with them older changes.
CHANGE_FEED_KEPT = timedelta(days=7)
# Enough to pass over the commits of table maintenance without reading the whole history.
RECENT_COMMITS = 20


@dataclass(frozen=True)
class ReadPosition:
    """By which rules a stage has read which version of its source.

    `source_id` is the id that Delta gave the source table: a table created anew starts again at version 0 under another id.
    """

    stage: str
    rules: str
    source_id: str
    source_version: int


def current_position(source: DeltaTable, stage: str, rules: str) -> ReadPosition:
    """The position of a reader that has seen all of `source`."""
    detail, newest = source.detail().first(), source.history(1).first()
    assert detail is not None
    assert newest is not None
    return ReadPosition(stage, rules, detail["id"], newest["version"])


def last_position(spark: SparkSession, target_uri: str, stage: str) -> ReadPosition | None:
    """Where the last commit of `stage` to the target table had read to; None where there is no table or no such commit."""
    if not DeltaTable.isDeltaTable(spark, target_uri):
        return None
    target = DeltaTable.forPath(spark, target_uri)
    for history in (target.history(RECENT_COMMITS), target.history()):
        of_stage = history.where(F.get_json_object("userMetadata", "$.stage") == stage)
        newest = of_stage.orderBy(F.desc("version")).select("userMetadata").first()
        if newest is not None:
            return ReadPosition(**json.loads(newest["userMetadata"]))
    return None


@contextmanager
def recorded(spark: SparkSession, position: ReadPosition) -> Iterator[None]:
    """Commits made inside carry `position`, those of an inner `recorded` its own. A session setting, because MERGE takes no writer option."""
    outer = spark.conf.get(USER_METADATA, None)
    spark.conf.set(USER_METADATA, json.dumps(asdict(position)))
    try:
        yield
    finally:
        if outer is None:
            spark.conf.unset(USER_METADATA)
        else:
            spark.conf.set(USER_METADATA, outer)


def changes_are_kept(source: DeltaTable, after_version: int, now: datetime) -> bool:
    """Whether all changes after `after_version` can still be read: VACUUM may have removed files of older commits."""
    oldest = (
        source.history()
        .where(F.col("version") > after_version)
        .agg(F.min("timestamp").cast("long"), F.count("*"), F.max("version"))
        .first()
    )
    assert oldest is not None
    epoch_seconds, commits, newest_version = oldest
    return commits == newest_version - after_version and now - datetime.fromtimestamp(epoch_seconds, UTC) < CHANGE_FEED_KEPT


def latest_changes(spark: SparkSession, source_uri: str, after_version: int, to_version: int, key: str) -> DataFrame:
    """The last change of each row of the source in (after_version, to_version].

    Columns of the source, `_change_type` (insert, update_postimage or delete) and `_is_new`: the row was not there at `after_version`.
    """
    changes = (
        spark.read.format("delta")
        .option("readChangeFeed", "true")
        .option("startingVersion", after_version + 1)
        .option("endingVersion", to_version)
        .load(source_uri)
        .where("_change_type != 'update_preimage'")
    )
    # A commit that deletes a row and inserts it again leaves the row, and it was there before.
    is_delete = F.col("_change_type") == "delete"
    newest_first = Window.partitionBy(key).orderBy(F.desc("_commit_version"), is_delete)
    oldest_first = Window.partitionBy(key).orderBy("_commit_version", ~is_delete)
    return (
        changes.withColumn("_is_new", F.first("_change_type").over(oldest_first) == "insert")
        .withColumn("_age", F.row_number().over(newest_first))
        .where("_age = 1")
        .drop("_age")
    )
