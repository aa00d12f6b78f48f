"""Publish the insight report of a champion and the files for download."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import quote

from delta.tables import DeltaTable
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from contracts.delivered_names import HASH_DIGITS_SHOWN, name_dumps
from contracts.statistics import MIN_ROWS_FOR_STATISTICS
from contracts.tables import DRIFT
from reporting.page import Section, render
from reporting.periods import Period, Timeline, build_timeline, group_days, second_half
from reporting.shares import Shares, estimate_shares
from spark_jobs.scoring.exports import TO_LABEL, format_tweets_to_label, write_exports
from spark_jobs.scoring.increments import is_model
from spark_jobs.scoring.insights import aggregations, opinion_sections, time_sections
from spark_jobs.scoring.insights.sentiment_counts import add_delivery_day, write_counts
from spark_jobs.scoring.loaded_dumps import read_loaded_dumps
from spark_jobs.scoring.scorable_model import ScorableModel
from spark_jobs.storage.publishing import log_to_mlflow, report_files, write_files
from spark_jobs.storage.schemas import add_missing_columns
from spark_jobs.storage.table_versions import read_version

HASHTAGS_SHOWN = 20
HASHTAGS_COMPARED = 1_000
TEXTS_SHOWN = 10
# An hour or two of work. The label shares of fewer than MIN_ROWS_FOR_STATISTICS tweets are not compared with
# those of earlier dumps. Uncertain tweets have others.
TEXTS_TO_LABEL = 150
# Only the latest dumps are exported. With daily dumps each run would otherwise write hundreds of files.
MAX_DUMPS_EXPORTED = 20


@dataclass(frozen=True)
class Places:
    """URIs of the tables that a report reads, and of the report's folder."""

    tweets_clean: str
    tweets_scored: str
    dumps: str
    drift: str
    report: str


def scored_tweets(spark: SparkSession, places: Places, model: ScorableModel, version: int) -> DataFrame:
    """Return the tweets with a model's scores: aggregations.TWEETS and aggregations.SCORES.

    `version` is the version of `tweets_clean` that was scored. A later version may contain a dump of which
    only the tweets of earlier dumps have scores. Its drift would be measured on these, and never again.
    """
    clean = read_version(spark, places.tweets_clean, version).withColumnRenamed("label", "own_label")
    scores = (
        spark.read.format("delta")
        .load(places.tweets_scored)
        .where(is_model(model))
        .select("tweet_id", *aggregations.SCORES)
    )
    return clean.select(*aggregations.TWEETS).join(scores, "tweet_id", how="inner")


def publish(
    spark: SparkSession, places: Places, scored: DataFrame, model: ScorableModel, run_id: str
) -> str | None:
    """Publish the report on the tweets with the model's scores.

    Without a tweet, a short report replaces the figures of tweets that were retracted.

    Returns:
        The id of the MLflow run, or None if MLFLOW_TRACKING_URI is not set.
    """
    totals = shares_by(scored, F.lit("all"), model.metadata.confusion_by_label)
    if totals:
        title = f"Opinions about vaccines in {totals['all'].tweets:,} tweets"
        sections = build_sections(spark, places, scored, totals["all"], model, run_id)
        metrics = opinion_sections.as_metrics(totals["all"])
    else:
        title, metrics = "Opinions about vaccines: no tweets", {}
        sections = [opinion_sections.empty_section()]
    facts = {"Champion": str(model), "Run": run_id, "Created": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"}
    written = report_files(render(title, facts, sections), sections)
    write_files(spark, places.report, written)
    # The model is not part of the key: if a run is cleared after a promotion, it scores with another
    # champion.
    key = {"airflow_dag_id": "score_tweets", "airflow_run_id": run_id}
    model_tags = {"model_name": model.name, "model_version": model.version}
    return log_to_mlflow(f"scores of {model}", written, metrics, {}, key, model_tags)


def build_sections(
    spark: SparkSession,
    places: Places,
    scored: DataFrame,
    total: Shares,
    model: ScorableModel,
    run_id: str,
) -> list[Section]:
    """Write the files for download and the counts, and return the sections. `total` are all tweets."""
    delivered = read_deliveries(spark, places.dumps)
    position = {dump: number for number, dump in enumerate(delivered)}
    confusion = model.metadata.confusion_by_label
    of_dumps = shares_by(scored, F.col("dump_sha256"), confusion)
    dumps = sorted(of_dumps, key=lambda dump: (position.get(dump, -1), dump))
    file_names = {dump: name for dump, (name, _) in delivered.items()}
    days_of_delivery = {dump: day for dump, (_, day) in delivered.items()}
    named = [(file_names.get(dump, dump[:HASH_DIGITS_SHOWN]), of_dumps[dump]) for dump in dumps]
    exported = dumps[-MAX_DUMPS_EXPORTED:]
    files = write_exports(
        scored.where(F.col("dump_sha256").isin(exported)).drop(
            *set(aggregations.TWEETS) - {"tweet_id", "dump_sha256"}
        ),
        places.report,
    )
    write_counts(scored, days_of_delivery, confusion, places.report)
    texts = aggregations.distinct_texts(scored).persist()
    ranked = {
        ranking: [row.asDict() for row in aggregations.extremes(texts, ranking, TEXTS_SHOWN).collect()]
        for ranking in aggregations.RANKINGS
    }
    to_label = aggregations.texts_to_label(texts, TEXTS_TO_LABEL).collect()
    if to_label:
        write_files(spark, places.report, {TO_LABEL: format_tweets_to_label(to_label)})
    folder = f"./{quote(run_id, safe='')}/files"
    sections = [
        opinion_sections.shares_section(total, named),
        *sections_over_time(scored, total.tweets, days_of_delivery, confusion),
        opinion_sections.hashtags_section(shares_by_hashtag(scored, confusion)),
        *opinion_sections.extremes_sections(ranked, f"{folder}/{TO_LABEL}" if to_label else None),
        opinion_sections.champions_section(*compare_champions(spark, places.tweets_scored, scored, model)),
        opinion_sections.drift_section(
            read_drift(spark, places.drift, model, file_names, read_loaded_dumps(spark, places.dumps))
        ),
        opinion_sections.files_section(files, file_names, folder),
    ]
    texts.unpersist()
    return sections


def shares_by(scored: DataFrame, part: Column, confusion: Sequence[Sequence[int]]) -> dict[str, Shares]:
    """Return the shares in each part of the tweets."""
    rows = [row.asDict() for row in aggregations.text_counts(scored, part).collect()]
    return estimate_shares(rows, confusion)


def shares_by_hashtag(
    scored: DataFrame, confusion: Sequence[Sequence[int]]
) -> list[tuple[dict[str, Any], Shares]]:
    """Return the most frequent hashtags with the shares in their tweets."""
    rows = [row.asDict() for row in aggregations.hashtag_counts(scored, HASHTAGS_SHOWN).collect()]
    tags = aggregations.explode_hashtags(scored).where(
        F.col("hashtag").isin([row["hashtag"] for row in rows])
    )
    shares = shares_by(tags, F.col("hashtag"), confusion)
    return [(row, shares[row["hashtag"]]) for row in rows]


def sections_over_time(
    scored: DataFrame, tweets: int, deliveries: Mapping[str, date], confusion: Sequence[Sequence[int]]
) -> list[Section]:
    """Return the sections by the date of the tweets, or by the delivery of the dumps if no tweet has a date.

    Args:
        scored: all tweets.
        tweets: number of all tweets.
        deliveries: day of delivery of each dump.
        confusion: see `estimate_shares`.
    """
    dated = scored.withColumn("day", F.to_date("created_at"))
    days = count_days(dated)
    if not days:
        dated = add_delivery_day(scored, deliveries)
        periods = group_days(count_days(dated), "day")
        shares = shares_by_period(dated, periods, confusion)
        return [time_sections.delivery_section(Timeline("day", periods, periods), shares)]
    undated = tweets - sum(days.values())
    timeline = build_timeline(days, MIN_ROWS_FOR_STATISTICS)
    start = second_half(days)
    rows = [] if start is None else aggregations.hashtag_halves(scored, start, HASHTAGS_COMPARED).collect()
    before = sum(count for day, count in days.items() if start is None or day < start)
    return [
        time_sections.time_section(timeline, undated, shares_by_period(dated, timeline.merged, confusion)),
        time_sections.trends_section(
            [row.asDict() for row in rows], start, before, sum(days.values()) - before
        ),
    ]


def count_days(dated: DataFrame) -> dict[date, int]:
    """Return the number of tweets for each `day`, without tweets that have none."""
    return {row.day: row.tweets for row in aggregations.day_counts(dated).collect()}


def shares_by_period(
    dated: DataFrame, periods: Sequence[Period], confusion: Sequence[Sequence[int]]
) -> dict[str, Shares]:
    """Return the shares in each period, by its name."""
    return shares_by(aggregations.split_by_period(dated, periods), F.col("period"), confusion)


def read_deliveries(spark: SparkSession, dumps_uri: str) -> dict[str, tuple[str, date]]:
    """Return the file name and the day of delivery of each dump by its hash, in the order of delivery.

    The result is empty if the table does not exist.
    """
    if not DeltaTable.isDeltaTable(spark, dumps_uri):
        return {}
    dumps = (
        spark.read.format("delta")
        .load(dumps_uri)
        .orderBy("delivered_at")
        # Not the timestamp: PySpark returns it in the time zone of this machine.
        .select("dump_sha256", "source", F.to_date("delivered_at").alias("day"))
        .collect()
    )
    names = name_dumps({row.dump_sha256: row.source for row in dumps})
    return {row.dump_sha256: (names[row.dump_sha256], row.day) for row in dumps}


def compare_champions(
    spark: SparkSession, scored_uri: str, scored: DataFrame, model: ScorableModel
) -> tuple[str | None, dict[tuple[int, int], int]]:
    """Return the previous champion, and the number of tweets by (previous label, current label)."""
    others = spark.read.format("delta").load(scored_uri).where(~is_model(model))
    last = (
        others.groupBy("model_name", "model_version")
        .agg(F.max("scored_at").alias("scored_at"))
        .orderBy(F.desc("scored_at"))
        .first()
    )
    if last is None:
        return None, {}
    earlier = others.where(
        (F.col("model_name") == last.model_name) & (F.col("model_version") == last.model_version)
    )
    changes = {
        (row.before, row.now): row.tweets for row in aggregations.label_changes(scored, earlier).collect()
    }
    return f"{last.model_name} version {last.model_version}", changes


def read_drift(
    spark: SparkSession, drift_uri: str, model: ScorableModel, names: dict[str, str], loaded: DataFrame
) -> list[dict[str, object]]:
    """Return the model's rows of `drift` for `loaded` dumps, with the names of the dumps, latest first."""
    table = add_missing_columns(spark.read.format("delta").load(drift_uri), DRIFT)
    rows = (
        table.where(is_model(model))
        .join(loaded, "dump_sha256", how="left_semi")
        .orderBy(F.desc("measured_at"), "dump_sha256")
        .collect()
    )
    return [
        row.asDict() | {"name": names.get(row.dump_sha256, row.dump_sha256[:HASH_DIGITS_SHOWN])}
        for row in rows
    ]
