"""Score the tweets of `tweets_clean` with the champion of MLflow's registry into `tweets_scored`.

    spark-submit spark_jobs/score_tweets.py --tweets-clean URI --tweets-scored URI --dumps URI --drift URI
        --models URI --model-name NAME --model-alias champion --engine auto --report FOLDER --run-id ID

The job scores tweets that are new to the champion and tweets whose text changed, each distinct text once
(scoring/increments.py). A new champion scores all tweets; rows of earlier champions stay. The job measures
the drift of dumps that are new to the champion (scoring/drift_table.py). It writes a report
(scoring/insights/page.py), and a CSV and a Parquet file for each dump. A retry scores no text again and
writes the same report.
The last line of the output is JSON.
"""

import argparse
import json
import sys
import time
from dataclasses import fields
from typing import Any

from pyspark.sql import SparkSession

from contracts.exit_status import run_command
from contracts.mlflow_names import CHAMPION_ALIAS
from contracts.task_output import build_event
from spark_jobs.scoring.drift_table import measure_new_dumps
from spark_jobs.scoring.engines import ENGINES, choose_engine
from spark_jobs.scoring.increments import changes_since, create_table, read_scores, score_changes
from spark_jobs.scoring.insights.page import Places, publish, scored_tweets
from spark_jobs.scoring.loaded_dumps import read_loaded_dumps
from spark_jobs.scoring.registry import copy_to_file_system, find_by_alias
from spark_jobs.scoring.scorable_model import ScorableModel, read_model
from spark_jobs.session import open_session
from spark_jobs.storage.read_position import is_up_to_date, last_position, newest_snapshot, position_at
from spark_jobs.storage.table_versions import require_table

STAGE = "score_tweets"


def arg_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tweets-clean", required=True, metavar="URI", help="Delta table to read")
    parser.add_argument("--tweets-scored", required=True, metavar="URI", help="Delta table to write")
    parser.add_argument(
        "--dumps",
        required=True,
        metavar="URI",
        help="Delta table to read: file name and delivery of each dump",
    )
    parser.add_argument(
        "--drift",
        required=True,
        metavar="URI",
        help="Delta table to write: distance of each dump from the training data",
    )
    parser.add_argument(
        "--report", required=True, metavar="FOLDER", help="folder of the report, on the tables' file system"
    )
    parser.add_argument("--run-id", required=True, help="id of the Airflow run")
    parser.add_argument(
        "--models", required=True, metavar="URI", help="folder of the models, by name and version"
    )
    parser.add_argument(
        "--model-name", required=True, help="registered model in MLflow (MLFLOW_TRACKING_URI)"
    )
    parser.add_argument("--model-alias", default=CHAMPION_ALIAS, help="alias of the version to score with")
    parser.add_argument("--engine", default="auto", help=f"auto, {' or '.join(ENGINES)}")
    return parser


def score_tweets(
    spark: SparkSession, clean_uri: str, scored_uri: str, model: ScorableModel, origin: str, engine: str
) -> dict[str, Any]:
    """Update the model's rows of `tweets_scored` and return a summary.

    The summary has the engine and the tweets inserted, updated and deleted. `origin` is a unique id of the
    model: another registry may have the same name and version.

    Raises:
        InputError: `tweets_clean` does not exist, or the engine cannot score the model.
    """
    require_table(spark, clean_uri, "run clean_tweets first")
    engine = choose_engine(engine, model.metadata.architecture)
    score = ENGINES[engine]
    print(f"{model}: {model.metadata.architecture}, {model.metadata.precision}, engine {engine}")
    stage = f"{STAGE} {model.name} {model.version}"
    last, current = (
        last_position(spark, scored_uri, stage),
        position_at(newest_snapshot(spark, clean_uri), stage, origin),
    )
    summary: dict[str, Any] = {
        "job": STAGE,
        "model_name": model.name,
        "model_version": model.version,
        "engine": engine,
        "precision": model.metadata.precision,
        "tweets_clean_version": current.source_version,
    }
    if last is not None and read_scores(spark, scored_uri, model).isEmpty():
        last = None  # retention has deleted the rows of this former champion
    if is_up_to_date(last, current):
        return summary | {"texts": 0}
    create_table(spark, scored_uri)
    version = newest_snapshot(spark, scored_uri).version()
    scored = read_scores(spark, scored_uri, model)
    changes = changes_since(spark, clean_uri, model, last, current, scored)
    return summary | score_changes(
        spark, scored_uri, changes, model, lambda texts: score(texts, model), current, version
    )


def report(
    spark: SparkSession, places: Places, model: ScorableModel, run_id: str, version: int
) -> dict[str, object]:
    """Measure the drift of new dumps, publish the report on all scored tweets, and return a summary.

    `version` is the version of `tweets_clean` that was scored.
    """
    scored = scored_tweets(spark, places, model, version).persist()
    loaded = read_loaded_dumps(spark, places.dumps)
    measured = measure_new_dumps(spark, places.drift, places.tweets_clean, scored, model, loaded)
    mlflow_run = publish(spark, places, scored, model, run_id)
    scored.unpersist()
    return {"measured_dumps": measured, "report": places.report, "mlflow_run": mlflow_run}


def main() -> None:
    """Run the job and print its summary."""
    arguments = arg_parser().parse_args()
    started = time.monotonic()
    registered = find_by_alias(arguments.model_name, arguments.model_alias)
    spark = open_session(STAGE)
    folder = copy_to_file_system(spark, registered, arguments.models)
    model = read_model(spark, folder, registered.name, registered.version)
    summary = score_tweets(
        spark, arguments.tweets_clean, arguments.tweets_scored, model, registered.source, arguments.engine
    )
    places = Places(**{field.name: vars(arguments)[field.name] for field in fields(Places)})
    summary |= report(spark, places, model, arguments.run_id, summary["tweets_clean_version"])
    rows = sum(summary.get(change, 0) for change in ("insert", "update", "delete"))
    summary |= build_event(rows, newest_snapshot(spark, arguments.tweets_scored).version())
    summary["seconds"] = round(time.monotonic() - started, 1)
    spark.stop()
    print(json.dumps(summary))


if __name__ == "__main__":
    sys.exit(run_command(main))
