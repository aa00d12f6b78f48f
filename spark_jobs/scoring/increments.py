"""Find the tweets that a model has not scored, and write their scores to `tweets_scored`.

The commit of a model's scores carries its read position. If two runs of the same model overlap, only one
commit succeeds, because both have the same transaction id. If a position cannot be used
(storage/read_position.py), all tweets are scored again: `tweets_scored` does not contain the texts.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import reduce
from operator import and_

from delta.tables import DeltaTable
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

from contracts.labels import LABELS, PROBABILITY_COLUMNS
from spark_jobs.scoring.scorable_model import ScorableModel
from spark_jobs.storage.read_position import (
    ReadPosition,
    can_continue,
    changed_keys,
    commit_metadata,
    idempotent_write,
    newest_snapshot,
    record_position,
    require_version,
)
from spark_jobs.storage.schemas import TWEETS_SCORED_SCHEMA
from spark_jobs.storage.table_versions import read_if_available, read_version

MODEL = ("model_name", "model_version")
# Read positions of earlier champions are in the log. Delta's default retention is 30 days.
LOG_RETENTION = "interval 365 days"
# One to three minutes of work, which is lost if an executor dies.
TEXTS_PER_TASK = 20_000


def create_table(spark: SparkSession, scored_uri: str) -> None:
    """Create an empty `tweets_scored` if it does not exist. Each model is a partition."""
    table = (
        DeltaTable.createIfNotExists(spark)
        .location(scored_uri)
        .addColumns(TWEETS_SCORED_SCHEMA)
        .partitionedBy(*MODEL)
    )
    table.property("delta.logRetentionDuration", LOG_RETENTION).property(
        "delta.dataSkippingStatsColumns", "tweet_id,label,score"
    ).execute()


def is_model(model: ScorableModel, table: str | None = None) -> Column:
    """Return the condition for rows of a model.

    It has constants, so that Delta reads only the model's partition.
    """
    prefix = f"{table}." if table else ""
    return reduce(
        and_,
        (
            F.col(f"{prefix}{column}") == value
            for column, value in zip(MODEL, (model.name, model.version), strict=True)
        ),
    )


def read_scores(spark: SparkSession, scored_uri: str, model: ScorableModel) -> DataFrame:
    """Return the rows of a model at the newest version of `tweets_scored`."""
    return spark.read.format("delta").load(scored_uri).where(is_model(model))


def read_texts(spark: SparkSession, clean_uri: str, version: int, text_column: str) -> DataFrame:
    """Return `tweet_id` and `text` of all tweets at a version of `tweets_clean`."""
    return read_version(spark, clean_uri, version).select("tweet_id", F.col(text_column).alias("text"))


def changes_since(
    spark: SparkSession,
    clean_uri: str,
    model: ScorableModel,
    last: ReadPosition | None,
    current: ReadPosition,
    scored: DataFrame,
) -> DataFrame:
    """Return `tweet_id`, `text` and `change` of the tweets whose scores are missing or out of date.

    `scored` are the model's rows. The change is insert (no score), update (the text changed) or delete (no
    tweet; `text` is null). Without a last position, every tweet that has a score is an update, because its
    text may have changed.
    """
    text_column = model.metadata.text_column
    now = read_texts(spark, clean_uri, current.source_version, text_column)
    if last is not None and can_compare(spark, clean_uri, last, current):
        touched = changed_keys(
            spark, clean_uri, last.source_version, current.source_version, key="tweet_id"
        ).persist()
        touched.count()  # fill the cache: Spark then knows the size and broadcasts a small `touched`
        before = read_texts(spark, clean_uri, last.source_version, text_column)
        now, before = (texts.join(touched, "tweet_id", how="left_semi") for texts in (now, before))
    else:
        before = scored.select("tweet_id", F.lit(None).cast("string").alias("text"))
    both = now.select("tweet_id", "text", F.lit(True).alias("is_now")).join(
        before.select("tweet_id", F.col("text").alias("text_before"), F.lit(True).alias("was_before")),
        "tweet_id",
        how="full_outer",
    )
    change = (
        F.when(F.col("was_before").isNull(), "insert")
        .when(F.col("is_now").isNull(), "delete")
        .otherwise("update")
    )
    is_same = F.col("is_now") & F.col("text").eqNullSafe(F.col("text_before"))
    return both.where(~F.coalesce(is_same, F.lit(False))).select("tweet_id", "text", change.alias("change"))


def can_compare(spark: SparkSession, clean_uri: str, last: ReadPosition, current: ReadPosition) -> bool:
    """Return whether the changes since the last position, and the texts before them, are still readable."""
    return (
        can_continue(newest_snapshot(spark, clean_uri), last, current, datetime.now(UTC))
        # VACUUM also removes files that OPTIMIZE replaced, even if all later changes are still readable.
        and read_if_available(spark, clean_uri, last.source_version) is not None
    )


def score_changes(
    spark: SparkSession,
    scored_uri: str,
    changes: DataFrame,
    model: ScorableModel,
    score: Callable[[DataFrame], DataFrame],
    position: ReadPosition,
    scored_version: int,
) -> dict[str, int]:
    """Score the inserted and updated tweets, and write all changes in one commit.

    Returns:
        The number of tweets by change, and of distinct `texts` that were scored.

    Raises:
        RuntimeError: `tweets_scored` changed after `scored_version`.
    """
    changes = changes.persist()
    counts = {row.change: int(row["count"]) for row in changes.groupBy("change").count().collect()}
    texts = (
        changes.where("text is not null")
        .groupBy("text")
        .agg(F.collect_list("tweet_id").alias("tweet_ids"))
        .persist()
    )
    counts["texts"] = texts.count()
    tasks = max(spark.sparkContext.defaultParallelism, -(-counts["texts"] // TEXTS_PER_TASK))
    scores = score_rows(score(repartition_by_text(texts, tasks)), model)
    require_version(spark, scored_uri, scored_version)
    with commit_metadata(spark, position), idempotent_write(spark, position.stage, scored_version):
        if len(counts) == 1:
            record_position(spark, scored_uri)
        elif counts.keys() == {"insert", "texts"}:
            scores.write.format("delta").mode("append").save(scored_uri)
        else:
            # MERGE reads its source twice.
            scores = scores.persist(StorageLevel.DISK_ONLY)
            deleted = changes.where("change = 'delete'").select("tweet_id", F.lit(True).alias("is_deleted"))
            source = scores.withColumn("is_deleted", F.lit(False)).unionByName(
                deleted, allowMissingColumns=True
            )
            merge_into(DeltaTable.forPath(spark, scored_uri), source, model)
            scores.unpersist()
    for cached in (texts, changes):
        cached.unpersist()
    return counts


def repartition_by_text(texts: DataFrame, tasks: int) -> DataFrame:
    """Repartition by a hash of the text so that a retried task gets the same rows.

    Round-robin partitioning depends on the order of the ids in `tweet_ids`, which differs between attempts.
    After the loss of an executor it scored some texts twice and others never.
    """
    return texts.repartition(tasks, "text")


def score_rows(texts: DataFrame, model: ScorableModel) -> DataFrame:
    """Return rows of `tweets_scored` for texts with their `tweet_ids` and probabilities."""
    highest = F.greatest(*PROBABILITY_COLUMNS)
    is_negative, is_neutral, _ = (F.col(name) == highest for name in PROBABILITY_COLUMNS)
    negative, neutral, positive = LABELS
    label = F.when(is_negative, negative).when(is_neutral, neutral).otherwise(positive)
    columns = {
        "label": label,
        "score": F.col("p_positive") - F.col("p_negative"),
        "model_name": F.lit(model.name),
        "model_version": F.lit(model.version),
        "scored_at": F.current_timestamp(),
    }
    rows = texts.select(F.explode("tweet_ids").alias("tweet_id"), *PROBABILITY_COLUMNS)
    return rows.withColumns(columns).select(TWEETS_SCORED_SCHEMA.names)


def merge_into(tweets_scored: DeltaTable, source: DataFrame, model: ScorableModel) -> None:
    """Merge rows of one model. Delete the rows for which `is_deleted` is true."""
    columns = {name: f"new.{name}" for name in TWEETS_SCORED_SCHEMA.names}
    (
        tweets_scored.alias("old")
        .merge(source.alias("new"), is_model(model, "old") & (F.col("old.tweet_id") == F.col("new.tweet_id")))
        .whenMatchedDelete("new.is_deleted")
        .whenMatchedUpdate(set=columns)  # type: ignore[arg-type]  # dict is invariant
        .whenNotMatchedInsert("not new.is_deleted", values=columns)  # type: ignore[arg-type]
        .execute()
    )
