"""Scores the tweets of `tweets_clean` with the champion of MLflow's registry into `tweets_scored`.

    spark-submit spark_jobs/score_tweets.py --tweets-clean URI --tweets-scored URI --dumps URI --drift URI --models URI
        --model-name NAME --model-alias champion --engine auto --report FOLDER --run-id ID

Only tweets that the champion has not scored yet are scored, and those whose text has changed; a text that many tweets share is scored once
(scoring/increments.py). A new champion scores all tweets; the rows of the earlier ones stay. Dumps that are new to the champion are compared with
what it has learnt from (scoring/judging.py). The folder gets a report with figures, and for each dump a CSV and a Parquet file
(scoring/insight_page.py). A retry scores nothing twice and writes the same report. Exit status 99: there is no champion yet. The last line of
the output is JSON.
"""

import argparse
import json
import sys
import time
from dataclasses import fields

from delta.tables import DeltaTable
from pyspark.sql import SparkSession

from spark_jobs.read_position import last_position, newest_snapshot, position_at
from spark_jobs.scoring.engines import ENGINES, choose_engine
from spark_jobs.scoring.increments import changes_since, create_table, is_model, score_changes
from spark_jobs.scoring.insight_page import Places, publish, scored_tweets
from spark_jobs.scoring.judging import judge_new_dumps
from spark_jobs.scoring.registry import find_by_alias, keep_in_file_system
from spark_jobs.scoring.scorable_model import ModelError, ScorableModel, read_model
from spark_jobs.session import open_session

STAGE = "score_tweets"
NOTHING_TO_DO = 99


def arg_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tweets-clean", required=True, metavar="URI", help="Delta table to read")
    parser.add_argument("--tweets-scored", required=True, metavar="URI", help="Delta table to write")
    parser.add_argument(
        "--dumps", required=True, metavar="URI", help="Delta table to read: where each dump comes from"
    )
    parser.add_argument(
        "--drift",
        required=True,
        metavar="URI",
        help="Delta table to write: how far each dump is from the training data",
    )
    parser.add_argument(
        "--report", required=True, metavar="FOLDER", help="folder on the tables' file system for the report"
    )
    parser.add_argument("--run-id", required=True, help="the Airflow run that asks for the report")
    parser.add_argument(
        "--models", required=True, metavar="URI", help="folder that keeps the models, by name and version"
    )
    parser.add_argument(
        "--model-name", required=True, help="registered model in MLflow (MLFLOW_TRACKING_URI)"
    )
    parser.add_argument("--model-alias", default="champion", help="alias of the version to score with")
    parser.add_argument("--engine", default="auto", choices=["auto", *ENGINES])
    return parser


def score_tweets(
    spark: SparkSession, clean_uri: str, scored_uri: str, model: ScorableModel, origin: str, engine: str
) -> dict[str, object]:
    """Brings the model's rows of `tweets_scored` up to date; a summary: the engine, and the tweets inserted, updated and deleted.

    `origin` tells the model from others of its name and version. Raises SystemExit with what to do where `tweets_clean` does not exist.
    """
    if not DeltaTable.isDeltaTable(spark, clean_uri):
        raise SystemExit(f"no table tweets_clean at {clean_uri}: run clean_tweets first")
    engine, reason = choose_engine(engine, model.architecture)
    score = ENGINES[engine]
    print(f"{model}, {model.architecture}, {model.precision}; {reason}")
    stage = f"{STAGE} {model.name} {model.version}"
    last, current = (
        last_position(spark, scored_uri, stage),
        position_at(newest_snapshot(spark, clean_uri), stage, origin),
    )
    summary: dict[str, object] = {
        "job": STAGE,
        "model_name": model.name,
        "model_version": model.version,
        "engine": engine,
        "precision": model.precision,
        "tweets_clean_version": current.source_version,
    }
    if last == current:
        return summary | {"texts": 0}
    create_table(spark, scored_uri)
    version = newest_snapshot(spark, scored_uri).version()
    scored = spark.read.format("delta").load(scored_uri).where(is_model(model))
    changes = changes_since(spark, clean_uri, model, last, current, scored)
    return summary | score_changes(
        spark, scored_uri, changes, model, lambda texts: score(texts, model), current, version
    )


def report(spark: SparkSession, places: Places, model: ScorableModel, run_id: str) -> dict[str, object]:
    """Judges new dumps and publishes the report on all tweets that the model has scored; what came of it.

    Raises SystemExit where it has scored none.
    """
    scored = scored_tweets(spark, places, model).persist()
    if scored.isEmpty():
        raise SystemExit(f"{places.tweets_clean} holds no tweets: ingest a dump first")
    judged = judge_new_dumps(spark, places.drift, places.tweets_clean, scored, model)
    mlflow_run = publish(spark, places, scored, model, run_id)
    scored.unpersist()
    return {"judged_dumps": judged, "report": places.report, "mlflow_run": mlflow_run}


def main() -> None:
    """Runs the job and prints its summary, the last line as JSON."""
    arguments = arg_parser().parse_args()
    started = time.monotonic()
    registered = find_by_alias(arguments.model_name, arguments.model_alias)
    if registered is None:
        print(
            f"no version of {arguments.model_name} has the alias {arguments.model_alias}: train and promote a model first; nothing is scored"
        )
        sys.exit(NOTHING_TO_DO)
    spark = open_session(STAGE)
    try:
        folder = keep_in_file_system(spark, registered, arguments.models)
        model = read_model(spark, folder, registered.name, registered.version)
    except ModelError as error:
        raise SystemExit(str(error)) from None
    summary = score_tweets(
        spark, arguments.tweets_clean, arguments.tweets_scored, model, registered.source, arguments.engine
    )
    summary |= report(
        spark, Places(*(vars(arguments)[field.name] for field in fields(Places))), model, arguments.run_id
    )
    summary["seconds"] = round(time.monotonic() - started, 1)
    spark.stop()
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
