"""Explores one version of `tweets_clean`: a self-contained HTML report with figures, in HDFS and in MLflow.

    spark-submit spark_jobs/explore_tweets.py --tweets-clean URI --tweets-raw URI --report FOLDER --run-id ID

Spark counts (`findings`), matplotlib and wordcloud draw (`figures`), the page is made by `report`. The folder gets report.html, each figure as
PNG and figures.json with all numbers; a retry writes the same files again. The report is logged to the MLflow server that MLFLOW_TRACKING_URI
names. The last line of the output is JSON.
"""

import argparse
import json
import os
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.utils import AnalysisException

from spark_jobs import findings, report
from spark_jobs.clean_tweets import SETTINGS
from spark_jobs.clean_tweets import STAGE as CLEANING
from spark_jobs.read_position import last_position
from spark_jobs.report import Findings, Section
from spark_jobs.session import open_session
from spark_jobs.vocabulary import stop_words

STAGE = "explore_tweets"
EXPERIMENT = "vaxpulse-reports"
WORDS_IN_A_CLOUD = 150
TERMS_IN_A_TABLE = 20
GROUPS_SHOWN = 15


def arg_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tweets-clean", required=True, metavar="URI", help="Delta table to explore")
    parser.add_argument("--tweets-raw", required=True, metavar="URI", help="Delta table it was made from")
    parser.add_argument("--report", required=True, metavar="FOLDER", help="folder on the tables' file system for the report")
    parser.add_argument("--run-id", required=True, help="the Airflow run that asks for it")
    return parser


def data_versions(tweets_clean: DeltaTable) -> list[int]:
    """The versions in which clean_tweets has changed the rows, newest first; the table's upkeep makes versions too."""
    history = tweets_clean.history().where("operation != 'CREATE TABLE'")
    of_stage = history.where(F.get_json_object("userMetadata", "$.stage") == CLEANING)
    return [row.version for row in of_stage.select("version").orderBy(F.desc("version")).collect()]


def readable_version(spark: SparkSession, uri: str, version: int) -> DataFrame | None:
    """A version of a Delta table, None where its log entry or one of its files has been removed since."""
    jvm: Any = spark.sparkContext._jvm
    configuration = spark.sparkContext._jsc.hadoopConfiguration()
    try:
        rows = spark.read.format("delta").option("versionAsOf", version).load(uri)
        paths = [jvm.org.apache.hadoop.fs.Path(file) for file in rows.inputFiles()]
    except AnalysisException:
        return None
    return rows if all(path.getFileSystem(configuration).exists(path) for path in paths) else None


def explore(spark: SparkSession, clean_uri: str, raw_uri: str, versions: list[int]) -> Findings:
    """Counts everything about the newest of `versions`, and compares it with the one before."""
    newest, *older = versions
    tweets = spark.read.format("delta").option("versionAsOf", newest).load(clean_uri).persist()
    position = last_position(spark, clean_uri, CLEANING)
    raw = readable_version(spark, raw_uri, position.source_version) if position else None
    groups = findings.text_groups(tweets).persist()
    terms = findings.term_counts(tweets, stop_words()).persist()
    before = readable_version(spark, clean_uri, older[0]) if older else None
    lengths: dict[int | None, dict[int, int]] = {}
    for label, characters, count in findings.length_counts(tweets).collect():
        lengths.setdefault(label, {})[characters] = count
    found = Findings(
        labels=labels_of(tweets),
        lengths=lengths,
        agreements={(row.agreement, row.label): row.tweets for row in findings.agreement_counts(tweets).collect()},
        copies=only_row(findings.copies(groups)),
        largest_groups=[row.asDict() for row in groups.orderBy(F.desc("tweets"), "example").limit(GROUPS_SHOWN).collect()],
        removed=only_row(findings.removed_by_rules(tweets)),
        raw_rows=None if raw is None else raw.count(),
        frequent={
            name: dict(findings.most_frequent(terms, "word", name, WORDS_IN_A_CLOUD).collect())
            for name in ("all", *findings.LABELS.values())
        },
        telling=[row.asDict() for row in findings.telling_terms(terms, TERMS_IN_A_TABLE).collect()],
        previous_version=older[0] if older else None,
        previous_labels=labels_of(before) if before else {},
        differences=only_row(findings.differences(before, tweets)) if before else None,
    )
    for cached in (terms, groups, tweets):
        cached.unpersist()
    return found


def labels_of(tweets: DataFrame) -> dict[tuple[int | None, str], int]:
    """Tweets of each label on each side."""
    return {(row.label, row.split): row.tweets for row in findings.label_counts(tweets).collect()}


def only_row(rows: DataFrame) -> dict[str, int]:
    """The one row of an aggregation."""
    row = rows.first()
    assert row is not None
    return row.asDict()


def files_of(page: str, parts: list[Section]) -> dict[str, bytes]:
    """The files of a report by name."""
    pictures = {f"{picture.name}.png": picture.png for part in parts for picture in part.pictures}
    numbers = [{"title": part.title, "text": part.text, "tables": [vars(table) for table in part.tables]} for part in parts]
    return {"report.html": page.encode(), "figures.json": json.dumps(numbers, indent=1, ensure_ascii=False).encode(), **pictures}


def store(spark: SparkSession, folder: str, files: dict[str, bytes]) -> None:
    """Writes each file whole or not at all, in place of one of the same name; report.html last, so that it stands for all of them."""
    jvm: Any = spark.sparkContext._jvm
    path = jvm.org.apache.hadoop.fs.Path
    target = path(folder)
    file_system = target.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
    for name in sorted(files, key=lambda name: name == "report.html"):
        part, whole = path(target, f".{name}.part"), path(target, name)
        stream = file_system.create(part, True)
        stream.write(bytearray(files[name]))
        stream.close()
        file_system.delete(whole, False)
        if not file_system.rename(part, whole):
            raise OSError(f"{part} could not be renamed to {name}")


def log_to_mlflow(files: dict[str, bytes], found: Findings, version: int, run_id: str) -> str | None:
    """Logs the report to the run of `run_id`, a new one at the first try; the MLflow run's id, None where no server is named."""
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return None
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    import mlflow  # seconds; after all that can fail without it

    experiment = mlflow.set_experiment(EXPERIMENT).experiment_id
    earlier = mlflow.search_runs([experiment], f"tags.airflow_run_id = '{run_id}'", max_results=1, output_format="list")
    name = f"tweets_clean version {version}"
    with (
        mlflow.start_run(run_id=earlier[0].info.run_id if earlier else None, experiment_id=experiment, run_name=name) as run,
        tempfile.TemporaryDirectory() as folder,
    ):
        mlflow.set_tags({"airflow_dag_id": STAGE, "airflow_run_id": run_id})
        mlflow.log_params({"tweets_clean_version": version})
        mlflow.log_metrics({f"tweets_{name}": count for name, count in report.by_label(found.labels).items()})
        mlflow.log_metrics({"tweets": found.tweets, **{f"copies_{name}": count for name, count in found.copies.items()}})
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        mlflow.log_artifacts(folder)
        return str(run.info.run_id)


def main() -> None:
    """Runs the job and prints its summary, the last line as JSON."""
    arguments = arg_parser().parse_args()
    started = time.monotonic()
    spark = open_session(STAGE)
    for key, value in SETTINGS.items():
        spark.conf.set(key, value)
    if not DeltaTable.isDeltaTable(spark, arguments.tweets_clean):
        raise SystemExit(f"no table tweets_clean at {arguments.tweets_clean}: run clean_tweets first")
    versions = data_versions(DeltaTable.forPath(spark, arguments.tweets_clean))
    if not versions:
        raise SystemExit(f"clean_tweets has written nothing to {arguments.tweets_clean} yet: run it first")
    found = explore(spark, arguments.tweets_clean, arguments.tweets_raw, versions)
    if not found.tweets:
        raise SystemExit(f"{arguments.tweets_clean} holds no tweets: ingest a dump first")
    parts = report.sections(found)
    facts = {
        "Table": f"{arguments.tweets_clean}, version {versions[0]}",
        "Run": arguments.run_id,
        "Made": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    }
    files = files_of(report.render(f"{found.tweets:,} tweets about vaccines", facts, parts), parts)
    store(spark, arguments.report, files)
    mlflow_run = log_to_mlflow(files, found, versions[0], arguments.run_id)
    spark.stop()
    seconds = round(time.monotonic() - started, 1)
    print(f"explored {found.tweets} tweets of version {versions[0]} in {seconds} s: {arguments.report}/report.html")
    if mlflow_run is None:
        print("not logged to MLflow: MLFLOW_TRACKING_URI is not set")
    summary = {"job": STAGE, "tweets_clean_version": versions[0], "tweets": found.tweets, "report": arguments.report}
    print(json.dumps({**summary, "mlflow_run": mlflow_run, "seconds": seconds}))


if __name__ == "__main__":
    main()
