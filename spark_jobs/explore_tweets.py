"""Write a report on one version of `tweets_clean` to HDFS and MLflow.

    spark-submit spark_jobs/explore_tweets.py --tweets-clean URI --report FOLDER --run-id ID

The folder contains report.html, each figure as PNG, and figures.json with all numbers. A retry writes the
same files again. The report is also logged to the MLflow server at MLFLOW_TRACKING_URI. The last line of the
output is JSON.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING, TypeVar

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from contracts.exit_status import run_command
from contracts.labels import CLASS_NAMES
from spark_jobs.clean_tweets import STAGE as CLEANING
from spark_jobs.cleaning.stems import stop_words
from spark_jobs.exploring import findings
from spark_jobs.session import open_session
from spark_jobs.storage.publishing import log_to_mlflow, report_files, write_files
from spark_jobs.storage.read_position import newest_snapshot
from spark_jobs.storage.table_versions import read_if_available, read_version, require_table

if TYPE_CHECKING:
    from reporting.page import Section
    from spark_jobs.exploring.report import Comparison

STAGE = "explore_tweets"
WORDS_IN_CLOUD = 150
TERMS_IN_TABLE = 20
GROUPS_IN_TABLE = 15
COLUMNS = [
    "tweet_id",
    "safe_text",  # only its lengths are shown, because it contains user names
    "text",
    "label",
    "agreement",
    "hashtags",
    "emoji",
    "clean_text",
    "text_group",
    "split",
]
# The driver plans one query while the tasks of another one run.
CONCURRENT_QUERIES = 2
# Their import takes seconds. It runs during the first Spark queries.
SLOW_IMPORTS = ("spark_jobs.exploring.report", "spark_jobs.exploring.term_sections", "mlflow")

Key = TypeVar("Key", bound=Hashable)


def arg_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tweets-clean", required=True, metavar="URI", help="Delta table to explore")
    parser.add_argument(
        "--report", required=True, metavar="FOLDER", help="folder of the report, on the table's file system"
    )
    parser.add_argument("--run-id", required=True, help="id of the Airflow run")
    return parser


def start_slow_imports() -> None:
    """Import SLOW_IMPORTS in a thread. A module that cannot be imported raises its error where it is used."""
    Thread(target=lambda: [import_module(name) for name in SLOW_IMPORTS], daemon=True).start()


def data_versions(tweets_clean: DeltaTable) -> list[int]:
    """Return the versions that clean_tweets or a RESTORE wrote, latest first.

    Versions of clean_tweets that changed no row are not included.
    """
    stage = F.get_json_object("userMetadata", "$.stage").alias("stage")
    commits = tweets_clean.history().select("version", "operation", stage).collect()
    changed = [
        row.version
        for row in commits
        if row.operation == "RESTORE"
        or (row.stage == CLEANING and row.operation not in ("CREATE TABLE", "DELETE"))
    ]
    return sorted(changed, reverse=True)


def versions_to_compare(spark: SparkSession, uri: str) -> list[int]:
    """Return the newest version of a table, and the version before its last change, if there is one.

    The report reads the newest version: after OPTIMIZE and VACUUM, an earlier one with the same rows may no
    longer be readable.
    """
    newest = newest_snapshot(spark, uri).version()
    changed = [version for version in data_versions(DeltaTable.forPath(spark, uri)) if version <= newest]
    return [newest, *changed[1:2]]


def compare(spark: SparkSession, uri: str, tweets: DataFrame, older: int | None) -> "Comparison | None":
    """Compare `tweets` with an older version of their table. Return None if `older` is None."""
    from spark_jobs.exploring.report import Comparison

    if older is None:
        return None
    before = read_if_available(spark, uri, older)
    if before is None:
        return Comparison(older)
    counts = only_row(findings.differences(before, tweets))
    labels = {
        name.removeprefix("before_"): counts.pop(name) for name in list(counts) if name.startswith("before_")
    }
    return Comparison(older, counts, labels)


def explore(spark: SparkSession, uri: str, versions: list[int]) -> "tuple[list[Section], dict[str, float]]":
    """Return the sections of the report and the metrics for MLflow.

    The report is about the first one of `versions` and compares it with the second one. Sections are drawn
    while Spark counts for the next ones. Without a tweet, there is one section with a sentence.
    """
    tweets = read_version(spark, uri, versions[0]).select(COLUMNS).persist()
    groups = findings.text_groups(tweets).persist()
    terms = findings.term_counts(tweets, stop_words()).persist()
    with ThreadPoolExecutor(CONCURRENT_QUERIES) as pool:
        # In the order in which the report needs them.
        counting = pool.submit(findings.tweet_counts(tweets).collect)
        words = pool.submit(findings.most_frequent_words(terms, WORDS_IN_CLOUD).collect)
        distinctive = pool.submit(findings.distinctive_terms(terms, TERMS_IN_TABLE).collect)
        duplicates = pool.submit(only_row, findings.duplicate_counts(groups))
        largest = pool.submit(findings.largest_groups(groups, GROUPS_IN_TABLE).collect)
        removed = pool.submit(only_row, findings.removed_by_rules(tweets))
        previous = pool.submit(compare, spark, uri, tweets, versions[1] if len(versions) > 1 else None)

        from spark_jobs.exploring import report, term_sections

        counts = counting.result()
        total = sum(row.tweets for row in counts)
        if not total:
            return [report.empty_section()], {"tweets": 0}
        labels = sum_tweets(counts, lambda row: (row.label, row.split))
        lengths = {
            label: sum_tweets((row for row in counts if row.label == label), lambda row: row.characters)
            for label, _ in labels
        }
        voted = [row for row in counts if row.label is not None and row.agreement is not None]
        terms_by_rank = [
            row.asDict() for row in sorted(distinctive.result(), key=lambda row: (row.label, row.rank))
        ]
        per_label = report.tweets_per_label(labels)
        sections = [
            report.labels_section(labels),
            report.lengths_section(lengths),
            report.agreement_section(sum_tweets(voted, lambda row: (row.agreement, row.label))),
            term_sections.words_section(words_by_column(words.result())),
            *(term_sections.distinctive_section(terms_by_rank, kind) for kind in findings.KINDS),
            report.duplicates_section(duplicates.result(), [row.asDict() for row in largest.result()], total),
            report.removed_section(removed.result(), total),
            report.difference_section(previous.result(), per_label),
        ]
    for cached in (terms, groups, tweets):
        cached.unpersist()
    of_labels = {f"tweets_{name}": count for name, count in per_label.items()}
    of_copies = {f"copies_{name}": count for name, count in duplicates.result().items()}
    return sections, {"tweets": total, **of_labels, **of_copies}


def sum_tweets(counts: Iterable[Row], key: Callable[[Row], Key]) -> dict[Key, int]:
    """Return the number of tweets for each value of `key`, from rows of findings.tweet_counts."""
    sums: Counter[Key] = Counter()
    for row in counts:
        sums[key(row)] += row.tweets
    return dict(sums)


def words_by_column(rows: Iterable[Row]) -> dict[str, dict[str, int]]:
    """Return the occurrences of each word in `all` tweets and by label, most frequent first.

    `rows` are those of findings.most_frequent_words.
    """
    words: dict[str, dict[str, int]] = {name: {} for name in ("all", *CLASS_NAMES)}
    for row in sorted(rows, key=lambda row: row.rank):
        words[row.column][row.term] = row.occurrences
    return words


def only_row(rows: DataFrame) -> dict[str, int]:
    """Return the row of an aggregation without groups."""
    row = rows.first()
    assert row is not None
    return row.asDict()


def main() -> None:
    """Run the job and print its summary."""
    arguments = arg_parser().parse_args()
    started = time.monotonic()
    start_slow_imports()
    spark = open_session(STAGE)
    require_table(spark, arguments.tweets_clean, "run clean_tweets first")
    versions = versions_to_compare(spark, arguments.tweets_clean)
    sections, metrics = explore(spark, arguments.tweets_clean, versions)
    from reporting.page import render

    facts = {
        "Table": f"{arguments.tweets_clean}, version {versions[0]}",
        "Run": arguments.run_id,
        "Created": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    }
    files = report_files(render(f"{metrics['tweets']:,} tweets about vaccines", facts, sections), sections)
    write_files(spark, arguments.report, files)
    mlflow_run = log_to_mlflow(
        f"tweets_clean version {versions[0]}",
        files,
        metrics,
        {},
        {"airflow_dag_id": STAGE, "airflow_run_id": arguments.run_id},
        # Not a parameter: clean_tweets may commit between two attempts of a run.
        {"tweets_clean_version": str(versions[0])},
    )
    spark.stop()
    seconds = round(time.monotonic() - started, 1)
    print(f"{metrics['tweets']} tweets of version {versions[0]}, {seconds} s: {arguments.report}/report.html")
    if mlflow_run is None:
        print("not logged to MLflow: MLFLOW_TRACKING_URI is not set")
    summary = {
        "job": STAGE,
        "tweets_clean_version": versions[0],
        "tweets": metrics["tweets"],
        "report": arguments.report,
    }
    print(json.dumps({**summary, "mlflow_run": mlflow_run, "seconds": seconds}))


if __name__ == "__main__":
    sys.exit(run_command(main))
