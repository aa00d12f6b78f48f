"""Measure the drift of dumps that are new to a model, and write it to the table `drift`."""

from dataclasses import asdict, fields
from datetime import UTC, datetime
from functools import reduce
from operator import and_

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from contracts.tables import DRIFT
from spark_jobs.scoring.drift import (
    MIN_TEXTS,
    Drift,
    Profile,
    build_profiles,
    measure,
    one_per_text,
    rank_vocabulary,
)
from spark_jobs.scoring.increments import is_model
from spark_jobs.scoring.insights.aggregations import confidence
from spark_jobs.scoring.scorable_model import ScorableModel
from spark_jobs.storage.schemas import DRIFT_SCHEMA
from spark_jobs.storage.table_versions import read_if_available


def measure_new_dumps(
    spark: SparkSession,
    drift_uri: str,
    clean_uri: str,
    scored: DataFrame,
    model: ScorableModel,
    loaded: DataFrame,
) -> int:
    """Write a row of `drift` for each dump of `scored` that is new to this model. Return the number of rows.

    A dump that was loaded again after its measurement, for example with another mapping, is measured again.
    Copies of a text count once. Texts of the train side are not measured, because the model predicts their
    labels too well. Write nothing if no tweet of the champion's data has a score.

    Args:
        spark: the session.
        drift_uri: table to write.
        clean_uri: `tweets_clean`, for the training data.
        scored: tweets with the model's scores.
        model: the model.
        loaded: result of `read_loaded_dumps`.
    """
    table = DeltaTable.createIfNotExists(spark).location(drift_uri).addColumns(DRIFT_SCHEMA).execute()
    measured = (
        spark.read.format("delta")
        .load(drift_uri)
        .where(is_model(model))
        .join(loaded, "dump_sha256", how="left")
        .where("ingested_at IS NULL OR measured_at >= ingested_at")
    )
    found = scored.select("dump_sha256").distinct().join(measured, "dump_sha256", how="left_anti").collect()
    dumps = [row.dump_sha256 for row in found]
    if not dumps:
        return 0
    scored = scored.withColumn("confidence", confidence())
    labelled = one_per_text(scored.join(training_data(spark, clean_uri, model), "tweet_id")).persist()
    train_side = labelled.where("part = 'train'")
    words = rank_vocabulary(train_side).persist()
    reference = build_profiles(labelled, words)
    if reference.keys() != {"train", "eval"}:
        return 0
    new = scored.where(F.col("dump_sha256").isin(dumps)).withColumn("part", F.col("dump_sha256"))
    profiles = build_profiles(one_per_text(new).join(train_side, "text_group", how="left_anti"), words)
    now = datetime.now(UTC)
    rows = [
        (dump, model.name, model.version, *drift_columns(profiles.get(dump), reference), now)
        for dump in dumps
    ]
    measures = spark.createDataFrame(rows, DRIFT_SCHEMA)
    same = reduce(and_, (F.col(f"old.{column}") == F.col(f"new.{column}") for column in DRIFT.key))
    # Schema evolution adds columns that are new in contracts.tables.
    merge = table.alias("old").merge(measures.alias("new"), same).withSchemaEvolution()
    merge.whenMatchedUpdateAll().whenNotMatchedInsertAll().execute()
    for cached in (words, labelled):
        cached.unpersist()
    return len(rows)


def training_data(spark: SparkSession, clean_uri: str, model: ScorableModel) -> DataFrame:
    """Return `tweet_id` and `part` (train, eval) of the labelled tweets at the model's table version.

    If that version is no longer readable, use the newest one.
    """
    tweets = read_if_available(spark, clean_uri, model.metadata.table_version)
    if tweets is None:
        tweets = spark.read.format("delta").load(clean_uri)
    is_labelled = F.col("split").isin("train", "eval")
    return tweets.where(is_labelled).select("tweet_id", F.col("split").alias("part"))


def drift_columns(dump: Profile | None, reference: dict[str, Profile]) -> tuple[object, ...]:
    """Return the columns of `drift` from `tweets` to `breaches`. Measures of small dumps are null."""
    texts = dump.texts if dump else 0
    if dump is None or texts < MIN_TEXTS:
        return (texts, *(None for _ in fields(Drift)), [])
    drift = measure(dump, reference["train"], reference["eval"])
    return (texts, *asdict(drift).values(), drift.breaches())
