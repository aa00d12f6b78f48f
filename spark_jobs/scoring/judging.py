"""Judges the drift of each dump that a model has not been compared with yet, and keeps the result in the table `drift`."""

from dataclasses import asdict
from datetime import UTC, datetime
from functools import reduce
from operator import and_

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.utils import AnalysisException

from spark_jobs.schemas import DRIFT
from spark_jobs.scoring.drift import FEWEST_TWEETS, LIMITS, Profile, measure, profiles, vocabulary
from spark_jobs.scoring.increments import is_model
from spark_jobs.scoring.insights import confidence
from spark_jobs.scoring.scorable_model import ScorableModel
from spark_jobs.table_versions import is_readable, read_version

KEY = ("dump_sha256", "model_name", "model_version")


def judge_new_dumps(
    spark: SparkSession, drift_uri: str, clean_uri: str, scored: DataFrame, model: ScorableModel
) -> int:
    """Adds a row to `drift` for each dump of `scored` (tweets with the model's scores) that has none by this model; how many are new.

    Nothing is judged while no labelled tweet has a score: there is nothing to compare with.
    """
    table = DeltaTable.createIfNotExists(spark).location(drift_uri).addColumns(DRIFT).execute()
    judged = spark.read.format("delta").load(drift_uri).where(is_model(model))
    found = scored.select("dump_sha256").distinct().join(judged, "dump_sha256", how="left_anti").collect()
    dumps = [row.dump_sha256 for row in found]
    if not dumps:
        return 0
    scored = scored.withColumn("confidence", confidence())
    labelled = scored.join(learnt_from(spark, clean_uri, model), "tweet_id", how="inner").persist()
    words = vocabulary(labelled.where("part = 'train'")).persist()
    reference = profiles(labelled, words)
    if reference.keys() != {"train", "eval"}:
        return 0
    of_dumps = profiles(
        scored.where(F.col("dump_sha256").isin(dumps)).withColumn("part", F.col("dump_sha256")), words
    )
    now = datetime.now(UTC)
    rows = [
        (dump, model.name, model.version, *judge(profile, reference), now)
        for dump, profile in of_dumps.items()
    ]
    new = spark.createDataFrame(rows, DRIFT)
    same = reduce(and_, (F.col(f"old.{column}") == F.col(f"new.{column}") for column in KEY))
    table.alias("old").merge(new.alias("new"), same).whenNotMatchedInsertAll().execute()
    for cached in (words, labelled):
        cached.unpersist()
    return len(rows)


def learnt_from(spark: SparkSession, clean_uri: str, model: ScorableModel) -> DataFrame:
    """`tweet_id` and `part` (train, eval) of the labelled tweets at the version that the model was trained on; now, where that is gone."""
    is_labelled = F.col("split").isin("train", "eval")
    columns = ("tweet_id", F.col("split").alias("part"))
    try:
        then = read_version(spark, clean_uri, model.table_version).where(is_labelled).select(*columns)
        if is_readable(spark, then):
            return then
    except AnalysisException:  # its entry in Delta's log is gone
        pass
    return spark.read.format("delta").load(clean_uri).where(is_labelled).select(*columns)


def judge(dump: Profile, reference: dict[str, Profile]) -> tuple[object, ...]:
    """The columns of `drift` from `tweets` to `breaches`."""
    if dump.tweets < FEWEST_TWEETS:
        return (dump.tweets, *(None for _ in LIMITS), [])
    drift = measure(dump, reference["train"], reference["eval"])
    return (dump.tweets, *asdict(drift).values(), drift.breaches())
