"""explore_tweets on small invented tables: the files it leaves, and what it compares with."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import mlflow
import pytest
from delta.tables import DeltaTable
from pyspark.sql import SparkSession

from spark_jobs import clean_tweets, explore_tweets
from spark_jobs.schemas import TWEETS_RAW

RUN_ID = "manual__2026-11-23T00:00:00+00:00"


class Tables:
    """tweets_raw and what is made of it, in a folder; `dump` ingests and cleans."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.spark = spark
        self.raw, self.clean, self.vocabulary = (str(folder / name) for name in ("tweets_raw", "tweets_clean", "vocabulary"))
        self.report = folder / "reports/run"
        DeltaTable.createIfNotExists(spark).location(self.raw).addColumns(TWEETS_RAW).execute()

    def dump(self, *tweets: tuple[str, str, float | None]) -> None:
        rows = [(tweet_id, text, label, 1.0, "d", datetime(2026, 11, 23, tzinfo=UTC)) for tweet_id, text, label in tweets]
        source = self.spark.createDataFrame(rows, TWEETS_RAW).alias("new")
        target = DeltaTable.forPath(self.spark, self.raw).alias("old")
        target.merge(source, "old.tweet_id = new.tweet_id").whenMatchedUpdateAll().whenNotMatchedInsertAll().execute()
        clean_tweets.clean_tweets(self.spark, self.raw, self.clean, self.vocabulary)

    def versions(self) -> list[int]:
        return explore_tweets.data_versions(DeltaTable.forPath(self.spark, self.clean))

    def explore(self) -> explore_tweets.Findings:
        return explore_tweets.explore(self.spark, self.clean, self.raw, self.versions())


@pytest.fixture
def tables(spark: SparkSession, tmp_path: Path) -> Tables:
    return Tables(spark, tmp_path)


@pytest.fixture
def run_job(tables: Tables, monkeypatch: pytest.MonkeyPatch):
    """The whole job by its command line, in the tests' session."""
    monkeypatch.setattr(explore_tweets, "open_session", lambda name: tables.spark)
    monkeypatch.setattr(SparkSession, "stop", lambda session: None)
    paths = [f"--tweets-clean={tables.clean}", f"--tweets-raw={tables.raw}", f"--report={tables.report}"]
    monkeypatch.setattr(sys, "argv", ["explore_tweets", *paths, f"--run-id={RUN_ID}"])
    return explore_tweets.main


def test_a_report_is_left_in_the_folder_and_in_mlflow_and_a_retry_leaves_the_same(tables, run_job, tmp_path, monkeypatch, capsys) -> None:
    tables.dump(("A1", "vaccines work #flu 💉", 1.0), ("A2", "no vaccines", -1.0), ("A3", "who knows", None))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
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
    # one run in MLflow, though the job ran twice
    [run] = mlflow.search_runs(experiment_names=[explore_tweets.EXPERIMENT], output_format="list")
    assert run.info.run_id == summary["mlflow_run"]
    assert (run.data.tags["airflow_run_id"], run.data.metrics["tweets"], run.data.metrics["tweets_positive"]) == (RUN_ID, 3, 1)
    assert {file.path for file in mlflow.artifacts.list_artifacts(run_id=run.info.run_id)} == left


def test_without_a_tracking_server_the_report_is_made_and_says_so(tables, run_job, monkeypatch, capsys) -> None:
    tables.dump(("A1", "vaccines work", 1.0))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run_job()
    assert "not logged to MLflow" in capsys.readouterr().out
    assert (tables.report / "report.html").exists()


def test_a_version_is_compared_with_the_one_before_whatever_maintenance_came_between(tables: Tables) -> None:
    tables.dump(("A1", "vaccines work", 1.0), ("A2", "no", -1.0))
    first = tables.explore()
    assert (first.previous_version, first.differences) == (None, None)
    tables.dump(("A2", "no", 0.0), ("A3", "new", None))
    DeltaTable.forPath(tables.spark, tables.clean).optimize().executeCompaction()
    second = tables.explore()
    assert second.differences == {"added": 1, "removed": 0, "relabelled": 1, "retexted": 0, "unchanged": 1}
    assert second.previous_version == tables.versions()[1]
    assert (second.tweets, second.raw_rows) == (3, 3)


def test_a_version_whose_files_are_gone_is_not_compared(tables: Tables, spark: SparkSession) -> None:
    tables.dump(("A1", "vaccines work", 1.0), ("A2", "no", -1.0))
    tables.dump(("A1", "vaccines work", 0.0))
    spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    try:
        DeltaTable.forPath(spark, tables.clean).vacuum(0)
    finally:
        spark.conf.unset("spark.databricks.delta.retentionDurationCheck.enabled")
    found = tables.explore()
    assert (found.previous_version, found.differences) == (tables.versions()[1], None)


def test_a_missing_table_is_an_error_that_says_what_to_do(run_job) -> None:
    with pytest.raises(SystemExit, match=r"no table tweets_clean at .*: run clean_tweets first"):
        run_job()
