"""Which tweets a model has still to score, and how their scores get into `tweets_scored`: one row for each tweet and model version.

The position that a model has read to is in the commit that wrote its scores. A second writer of the same model cannot commit beside the first:
both carry the model as Delta's transaction id.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import reduce
from operator import and_

from delta.tables import DeltaTable
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.utils import AnalysisException
from pyspark.storagelevel import StorageLevel

from spark_jobs.read_position import (
    ReadPosition,
    changed_keys,
    changes_are_kept,
    newest_snapshot,
    record_position,
    recorded,
    require_version,
    written_once,
)
from spark_jobs.schemas import TWEETS_SCORED
from spark_jobs.scoring.scorable_model import ScorableModel
from spark_jobs.table_versions import is_readable, read_version

MODEL = ("model_name", "model_version")
# The positions of earlier champions are in the history; Delta's default drops it after 30 days.
HISTORY_KEPT = "interval 365 days"
# A task takes about so many texts, one to three minutes of work: what is lost with an executor.
TEXTS_A_TASK = 20_000


def create_table(spark: SparkSession, scored_uri: str) -> None:
    """An empty `tweets_scored`. A model is a partition: its rows are found, replaced and dropped without a look at those of the others."""
    table = (
        DeltaTable.createIfNotExists(spark)
        .location(scored_uri)
        .addColumns(TWEETS_SCORED)
        .partitionedBy(*MODEL)
    )
    table.property("delta.logRetentionDuration", HISTORY_KEPT).property(
        "delta.dataSkippingStatsColumns", "tweet_id,label,score"
    ).execute()


def is_model(model: ScorableModel, table: str | None = None) -> Column:
    """The condition for rows of a model; constants, so that Delta reads its partition alone."""
    prefix = f"{table}." if table else ""
    return reduce(
        and_,
        (
            F.col(f"{prefix}{column}") == value
            for column, value in zip(MODEL, (model.name, model.version), strict=True)
        ),
    )


def read_texts(spark: SparkSession, clean_uri: str, version: int, text_column: str) -> DataFrame:
    """`tweet_id` and `text` of all tweets at a version of `tweets_clean`."""
    return read_version(spark, clean_uri, version).select("tweet_id", F.col(text_column).alias("text"))


def changes_since(
    spark: SparkSession,
    clean_uri: str,
    model: ScorableModel,
    last: ReadPosition | None,
    current: ReadPosition,
    scored: DataFrame,
) -> DataFrame:
    """`tweet_id`, `text` and `change` of the tweets whose rows among `scored`, the model's, are not those of the current texts.

    The change is insert where a score is missing, update where it is of another text, delete where the tweet is gone (without a text). Without a position to start from, every tweet that has a score is an update: nothing says which text it is about.
    """
    now = read_texts(spark, clean_uri, current.source_version, model.text_column)
    if last is not None and can_continue(spark, clean_uri, last, current):
        touched = changed_keys(
            spark, clean_uri, last.source_version, current.source_version, key="tweet_id"
        ).persist()
        touched.count()  # once it is in the cache, Spark knows its size, and sends a small one to every task
        before = read_texts(spark, clean_uri, last.source_version, model.text_column)
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


def can_continue(spark: SparkSession, clean_uri: str, last: ReadPosition, current: ReadPosition) -> bool:
    """Whether the changes between the two positions can be read and are about the same model and table."""
    is_same = (last.rules, last.source_id) == (current.rules, current.source_id)
    if not is_same or not changes_are_kept(
        newest_snapshot(spark, clean_uri), last.source_version, datetime.now(UTC)
    ):
        return False
    try:  # what OPTIMIZE has put together long ago is gone with the next VACUUM, whatever the age of the changes after it
        return is_readable(spark, read_version(spark, clean_uri, last.source_version))
    except AnalysisException:  # its entry in Delta's log is gone
        return False


def score_changes(
    spark: SparkSession,
    scored_uri: str,
    changes: DataFrame,
    model: ScorableModel,
    score: Callable[[DataFrame], DataFrame],
    position: ReadPosition,
    scored_version: int,
) -> dict[str, int]:
    """Scores the inserted and updated tweets of `changes`, found at `scored_version`, and writes all changes in one commit.

    Counts the tweets of each change, and the different texts that were scored.
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
    tasks = max(spark.sparkContext.defaultParallelism, -(-counts["texts"] // TEXTS_A_TASK))
    scores = score_rows(score(share_out(texts, tasks)), model)
    require_version(spark, scored_uri, scored_version)
    with recorded(spark, position), written_once(spark, position):
        if len(counts) == 1:
            record_position(spark, scored_uri)
        elif counts.keys() == {"insert", "texts"}:
            scores.write.format("delta").mode("append").save(scored_uri)
        else:
            # MERGE reads its source twice; a text is scored once.
            scores = scores.persist(StorageLevel.DISK_ONLY)
            deleted = changes.where("change = 'delete'").select("tweet_id", F.lit(True).alias("is_gone"))
            source = scores.withColumn("is_gone", F.lit(False)).unionByName(deleted, allowMissingColumns=True)
            merge_into(DeltaTable.forPath(spark, scored_uri), source, model)
            scores.unpersist()
    for cached in (texts, changes):
        cached.unpersist()
    return counts


def share_out(texts: DataFrame, tasks: int) -> DataFrame:
    """The texts in as many partitions as there are to be tasks.

    By their hash: when an executor dies, some tasks are run again, and each must get the texts that it had. Without a column Spark deals rows
    out by their place after sorting them by their bytes, and the arrays of ids are in another order each time: texts were scored twice or never.
    """
    return texts.repartition(tasks, "text")


def score_rows(texts: DataFrame, model: ScorableModel) -> DataFrame:
    """Rows of `tweets_scored` for texts with their `tweet_ids` and probabilities."""
    probabilities = ("p_negative", "p_neutral", "p_positive")
    highest = F.greatest(*probabilities)
    label = F.when(F.col("p_negative") == highest, -1).when(F.col("p_neutral") == highest, 0).otherwise(1)
    columns = {
        "label": label,
        "score": F.col("p_positive") - F.col("p_negative"),
        "model_name": F.lit(model.name),
        "model_version": F.lit(model.version),
        "scored_at": F.current_timestamp(),
    }
    rows = texts.select(F.explode("tweet_ids").alias("tweet_id"), *probabilities)
    return rows.withColumns(columns).select(TWEETS_SCORED.names)


def merge_into(tweets_scored: DeltaTable, source: DataFrame, model: ScorableModel) -> None:
    """Updates, inserts, and deletes where `is_gone`, among the rows of one model."""
    columns = {name: f"new.{name}" for name in TWEETS_SCORED.names}
    (
        tweets_scored.alias("old")
        .merge(source.alias("new"), is_model(model, "old") & (F.col("old.tweet_id") == F.col("new.tweet_id")))
        .whenMatchedDelete("new.is_gone")
        .whenMatchedUpdate(set=columns)  # type: ignore[arg-type]  # the stub wants Column | str, and dict is invariant
        .whenNotMatchedInsert("not new.is_gone", values=columns)  # type: ignore[arg-type]
        .execute()
    )
