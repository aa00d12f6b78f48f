"""Hostile records through all steps from loading to scoring: nothing is lost, and every step succeeds."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from deltalake import DeltaTable, QueryBuilder
from pyspark.sql import SparkSession

from contracts.tables import LOADED
from spark_jobs import clean_tweets, explore_tweets, score_tweets
from spark_jobs.scoring.scorable_model import read_model
from tests.jobs.hostile_records import hostile_dump
from tests.properties.loading_model import Store, moment
from tests.training.conftest import invented_tweets
from tests.training.tiny_models import bert

REPOSITORY = Path(__file__).parents[2]
MAX_RESIDENT_KIB = 4 << 20

RECORDS = int(os.environ.get("VAXPULSE_HOSTILE_RECORDS", "500"))
SEED = int(os.environ.get("VAXPULSE_FUZZ_SEED", "1"))


def rows_of(uri: str, condition: str = "true") -> int:
    sql = f"SELECT count(*) AS n FROM t WHERE {condition}"
    batches = QueryBuilder().register("t", DeltaTable(uri)).execute(sql).read_all()
    return int(batches.column("n")[0].as_py())


def train(clean: str, folder: Path) -> str:
    """Fine-tune a tiny model on the hostile texts in another process. Return the folder of its export."""
    checkpoint = bert(folder / "checkpoint", invented_tweets()["text"].tolist())
    options = ["--preset=bert", f"--checkpoint={checkpoint}", f"--tweets={clean}", "--epochs=1"]
    options += ["--batch-size=16", f"--output={folder}/trained"]
    environment = os.environ | {"VAXPULSE_STATE": f"{folder}/state", "OMP_NUM_THREADS": "1"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    subprocess.run(
        [sys.executable, "-m", "training.train", *options], check=True, cwd=REPOSITORY, env=environment
    )
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < MAX_RESIDENT_KIB
    return f"{folder}/trained/onnx"


def test_every_record_is_accepted_or_quarantined_and_all_steps_succeed(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "tables")
    store.deliver(hostile_dump(RECORDS, SEED), moment(0))
    [delivery] = store.files().deliveries()
    row = store.loader(thresholds=None).process(delivery)
    assert row["state"] == LOADED
    assert row["records"] == RECORDS == row["accepted"] + row["quarantined"] + row["duplicates"]
    assert row["quarantined"] > RECORDS // 20
    assert rows_of(store.tables.quarantine, "reason = 'the text has more than 10,000 characters'")
    raw, clean = store.tables.tweets_raw, str(tmp_path / "tweets_clean")
    clean_tweets.clean_tweets(spark, raw, clean)
    assert rows_of(clean) == row["accepted"] == rows_of(raw)
    monkeypatch.setattr(explore_tweets, "open_session", lambda name: spark)
    monkeypatch.setattr(SparkSession, "stop", lambda session: None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)
    report = tmp_path / "report"
    arguments = [f"--tweets-clean={clean}", f"--report={report}", "--run-id=hostile"]
    monkeypatch.setattr(sys, "argv", ["explore_tweets", *arguments])
    explore_tweets.main()
    page = (report / "report.html").read_text()
    assert "<script>alert" not in page
    assert "onerror=a>" not in page.replace("&lt;img src=x onerror=a&gt;", "")
    model = read_model(spark, train(clean, tmp_path), "hostile", "1")
    scored = str(tmp_path / "tweets_scored")
    score_tweets.score_tweets(spark, clean, scored, model, "hostile", "onnx")
    assert rows_of(scored) == rows_of(clean)
    assert rows_of(scored, "p_negative + p_neutral + p_positive BETWEEN 0.999 AND 1.001") == rows_of(clean)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < MAX_RESIDENT_KIB
