"""explore_tweets on small invented tables: the files it leaves, and what it compares with."""

import json
import sys
from pathlib import Path

import mlflow
import pytest
from delta.tables import DeltaTable
from pyspark.sql import SparkSession

from contracts.exit_status import InputError
from contracts.mlflow_names import REPORTS_EXPERIMENT
from spark_jobs import clean_tweets, explore_tweets
from spark_jobs.exploring.report import Comparison
from spark_jobs.storage.read_position import USER_METADATA
from tests.properties.tweet_log import Dump, Tweet, TweetLog

RUN_ID = "manual__2026-11-23T00:00:00+00:00"


class Tables:
    """tweets_raw and the tables that depend on it, in a folder. `dump` ingests and cleans."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.spark = spark
        self.log = TweetLog(folder)
        self.log.append()
        self.raw, self.clean = self.log.uri, str(folder / "tweets_clean")
        self.report = folder / "reports/run"
        self.dumps = 0

    def dump(self, *tweets: tuple[str, str, float | None]) -> None:
        self.dumps += 1
        self.log.append(Dump(f"d{self.dumps}", [Tweet(*tweet, 1.0) for tweet in tweets], self.dumps))
        clean_tweets.clean_tweets(self.spark, self.raw, self.clean)

    def versions(self) -> list[int]:
        return explore_tweets.data_versions(DeltaTable.forPath(self.spark, self.clean))

    def compare(self) -> Comparison | None:
        """The newest version with the one before."""
        newest, *older = self.versions()
        tweets = explore_tweets.read_version(self.spark, self.clean, newest)
        return explore_tweets.compare(self.spark, self.clean, tweets, older[0] if older else None)


@pytest.fixture
def tables(spark: SparkSession, tmp_path: Path) -> Tables:
    return Tables(spark, tmp_path)


@pytest.fixture
def run_job(tables: Tables, monkeypatch: pytest.MonkeyPatch):
    """Return the job's main function, with the tests' session."""
    monkeypatch.setattr(explore_tweets, "open_session", lambda name: tables.spark)
    monkeypatch.setattr(SparkSession, "stop", lambda session: None)
    paths = [f"--tweets-clean={tables.clean}", f"--report={tables.report}"]
    monkeypatch.setattr(sys, "argv", ["explore_tweets", *paths, f"--run-id={RUN_ID}"])
    return explore_tweets.main


def test_report_is_in_the_folder_and_in_mlflow_and_a_retry_writes_the_same(
    tables, run_job, tmp_path, monkeypatch, capsys
) -> None:
    tables.dump(("A1", "vaccines work #flu 💉", 1.0), ("A2", "no vaccines", -1.0), ("A3", "who knows", None))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")  # a test before may have set another
    monkeypatch.chdir(tmp_path)
    run_job()
    run_job()
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (summary["tweets"], summary["tweets_clean_version"]) == (3, tables.versions()[0])
    left = {path.name for path in tables.report.iterdir() if not path.name.startswith(".")}
    assert {"report.html", "figures.json", "labels.png", "text_lengths.png", "words_all.png"} <= left
    assert not list(tables.report.glob(".*.part"))
    assert (tables.report / "labels.png").read_bytes().startswith(b"\x89PNG")
    assert "3 tweets about vaccines" in (tables.report / "report.html").read_text()
    # one run in MLflow after two runs of the job
    [run] = mlflow.search_runs(experiment_names=[REPORTS_EXPERIMENT], output_format="list")
    assert run.info.run_id == summary["mlflow_run"]
    assert (
        run.data.tags["airflow_run_id"],
        run.data.metrics["tweets"],
        run.data.metrics["tweets_positive"],
    ) == (RUN_ID, 3, 1)
    assert {file.path for file in mlflow.artifacts.list_artifacts(run_id=run.info.run_id)} == left


def test_retry_after_a_commit_of_clean_tweets_reports_the_new_version(
    tables, run_job, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")  # a test before may have set another
    monkeypatch.chdir(tmp_path)
    tables.dump(("A1", "vaccines work", 1.0))
    run_job()
    tables.dump(("A2", "no vaccines", -1.0))
    run_job()
    [run] = mlflow.search_runs(experiment_names=[REPORTS_EXPERIMENT], output_format="list")
    assert run.data.metrics["tweets"] == 2
    assert run.data.tags["tweets_clean_version"] == str(tables.versions()[0])


def test_report_without_a_tracking_server(tables, run_job, monkeypatch, capsys) -> None:
    tables.dump(("A1", "vaccines work", 1.0))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run_job()
    assert "not logged to MLflow" in capsys.readouterr().out
    assert (tables.report / "report.html").exists()


def test_figures_json_has_the_numbers_of_the_tweets(tables, run_job, monkeypatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    tables.dump(
        ("A1", "vaccines work #flu", 1.0),
        ("A2", "no vaccines", -1.0),
        ("A3", "No vaccines!", None),
        ("A4", "no, vaccines", 1.0),
    )
    run_job()
    sections = {part["title"]: part for part in json.loads((tables.report / "figures.json").read_text())}
    assert [row[:3] for row in sections["Labels"]["tables"][0]["rows"]] == [
        ["negative", 1, "33.3 %"],
        ["neutral", 0, "0.0 %"],
        ["positive", 2, "66.7 %"],
        ["unlabelled", 1, ""],
    ]
    # label, tweets, minimum, ..., maximum, mean
    assert [
        (row[0], row[1], row[2], row[-2], row[-1]) for row in sections["Text lengths"]["tables"][0]["rows"]
    ] == [
        ("negative", 1, 11, 11, "11.0"),
        ("positive", 2, 12, 18, "15.0"),
        ("unlabelled", 1, 12, 12, "12.0"),
        ("all", 4, 11, 18, "13.2"),
    ]
    assert sections["Agreement"]["tables"][0]["rows"] == [["1", 1, 0, 2, 3]]
    assert sections["Words"]["tables"][0]["header"] == ["rank", "all", "negative", "neutral", "positive"]
    assert sections["Words"]["tables"][0]["rows"][0] == [
        1,
        "vaccines (4)",
        "vaccines (1)",
        "",
        "vaccines (2)",
    ]
    assert sections["Duplicates and conflicting labels"]["tables"][0]["rows"] == [
        ["No vaccines!", 3, 1, 0, 1]
    ]
    assert sections["Effect of the cleaning rules"]["text"].startswith("46 of 53 characters remain")


def test_version_is_compared_with_the_previous_one_despite_maintenance(tables: Tables) -> None:
    tables.dump(("A1", "vaccines work", 1.0), ("A2", "no", -1.0))
    assert tables.compare() is None
    tables.dump(("A2", "no", 0.0), ("A3", "new", None))
    tables.spark.conf.set(USER_METADATA, "a manual OPTIMIZE")
    try:
        DeltaTable.forPath(tables.spark, tables.clean).optimize().executeCompaction()
    finally:
        tables.spark.conf.unset(USER_METADATA)
    assert tables.compare() == Comparison(
        version=tables.versions()[1],
        differences={"added": 1, "removed": 0, "relabelled": 1, "text_changed": 0, "unchanged": 1},
        labels={"negative": 1, "neutral": 0, "positive": 1, "unlabelled": 0},
    )


def test_version_whose_files_were_removed_is_not_compared(tables: Tables, spark: SparkSession) -> None:
    tables.dump(("A1", "vaccines work", 1.0), ("A2", "no", -1.0))
    tables.dump(("A1", "vaccines work", 0.0))
    spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    try:
        DeltaTable.forPath(spark, tables.clean).vacuum(0)
    finally:
        spark.conf.unset("spark.databricks.delta.retentionDurationCheck.enabled")
    assert tables.compare() == Comparison(version=tables.versions()[1], differences=None, labels=None)


def test_newest_version_is_read_after_optimize_and_vacuum(
    tables: Tables, spark: SparkSession, run_job, monkeypatch, capsys
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    tables.dump(("A1", "vaccines work", 1.0))
    tables.dump(("A2", "no", -1.0))
    spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    try:
        DeltaTable.forPath(spark, tables.clean).optimize().executeCompaction()
        DeltaTable.forPath(spark, tables.clean).vacuum(0)
    finally:
        spark.conf.unset("spark.databricks.delta.retentionDurationCheck.enabled")
    run_job()
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["tweets"] == 2


def test_restored_version_is_reported_and_compared_with_the_version_before(
    tables: Tables, spark: SparkSession
) -> None:
    tables.dump(("A1", "vaccines work", 1.0))
    tables.dump(("A2", "no", -1.0))
    last, first = tables.versions()
    DeltaTable.forPath(spark, tables.clean).restoreToVersion(first)
    newest, *older = explore_tweets.versions_to_compare(spark, tables.clean)
    assert explore_tweets.read_version(spark, tables.clean, newest).count() == 1
    assert older == [last]


def test_report_of_a_table_without_rows_replaces_the_figures_of_retracted_tweets(
    tables: Tables, run_job, monkeypatch, capsys
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    tables.dump(("A1", "vaccines work", 1.0))
    tables.log.retract("d1")
    clean_tweets.clean_tweets(tables.spark, tables.raw, tables.clean)
    run_job()
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["tweets"] == 0
    [section] = json.loads((tables.report / "figures.json").read_text())
    assert section["text"].startswith("The table has no rows")


def test_missing_table_is_an_input_error(run_job) -> None:
    with pytest.raises(InputError, match=r"no table at .*tweets_clean: run clean_tweets first"):
        run_job()
