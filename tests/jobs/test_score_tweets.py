"""score_tweets on small tables with a tiny model."""

import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pytest
from chispa.dataframe_comparer import assert_df_equality
from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from contracts.exit_status import DONE, NOTHING_TO_DO, InputError, NothingToDo
from contracts.exported_model import METADATA_FILE
from contracts.labels import LABELS
from contracts.mlflow_names import EXPORT_ARTIFACT
from spark_jobs import clean_tweets, score_tweets
from spark_jobs.scoring import increments, registry
from spark_jobs.scoring.scorable_model import ScorableModel, read_model
from spark_jobs.storage.schemas import TWEETS_SCORED_SCHEMA
from tests.properties.tweet_log import Dump, Tweet, TweetLog
from tests.spark_jobs.scorable_models import TinyModel, make_tiny_model

RUN_ID = "manual__2026-11-23T00:00:00+00:00"
FIND_CHAMPION = ["--model-name", "vaxpulse", "--model-alias", "champion"]
TEXTS = [
    "vaccines work #flu",
    "never trusting those jabs",
    "is the clinic open on sunday?",
    "my daughter got her measles shot",
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "tiny-1", "bert", TEXTS)


def another_version(tiny: TinyModel, version: str) -> ScorableModel:
    """Return a copy with other labels for the class ids, so that its scores differ."""
    folder = Path(tiny.exported.folder)
    copy = folder.with_name(f"tiny-{version}")
    if not copy.exists():
        shutil.copytree(folder, copy)
        replace(tiny.exported.metadata, labels=LABELS).write(copy)
    return read_model(SparkSession.active(), str(copy), "tiny", version)


class Tables:
    """tweets_raw and the tables that depend on it, in a folder."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.spark = spark
        self.log = TweetLog(folder)
        self.clean, self.scored = str(folder / "tweets_clean"), str(folder / "tweets_scored")
        self.drift, self.report = str(folder / "drift"), folder / "reports/run"
        self.dumps = 0

    def dump(self, *tweets: tuple[str, str]) -> None:
        self.dumps += 1
        self.log.append(Dump(f"d{self.dumps}", [Tweet(*tweet) for tweet in tweets], self.dumps))
        self.clean_again()

    def clean_again(self) -> None:
        clean_tweets.clean_tweets(self.spark, self.log.uri, self.clean)

    def score(self, model: ScorableModel, origin: str = "run") -> dict[str, object]:
        """Score, and return the number of tweets by change, and of texts."""
        summary = score_tweets.score_tweets(self.spark, self.clean, self.scored, model, origin, "onnx")
        return {
            key: value for key, value in summary.items() if key in ("insert", "update", "delete", "texts")
        }

    def rows(self) -> DataFrame:
        return self.spark.read.format("delta").load(self.scored)

    def scores(self, version: str) -> dict[str, tuple[float, float, float]]:
        rows = self.rows().where(f"model_version = '{version}'").collect()
        assert len({row.tweet_id for row in rows}) == len(rows)
        return {row.tweet_id: (row.p_negative, row.p_neutral, row.p_positive) for row in rows}

    def commits(self) -> int:
        return DeltaTable.forPath(self.spark, self.scored).history().count()


@pytest.fixture
def tables(spark: SparkSession, tmp_path: Path) -> Tables:
    return Tables(spark, tmp_path)


def test_scores_have_the_schema_and_the_probabilities_of_pytorch(tables: Tables, tiny: TinyModel) -> None:
    tables.dump(("A1", TEXTS[0]), ("A2", TEXTS[1]), ("A3", ""))
    assert tables.score(tiny.exported) == {"insert": 3, "texts": 3}
    assert set(tables.rows().schema.fields) == set(TWEETS_SCORED_SCHEMA.fields)
    wanted = tiny.probabilities([TEXTS[0], TEXTS[1], ""])
    rows = sorted(tables.rows().collect(), key=lambda row: row.tweet_id)
    np.testing.assert_allclose(
        [(row.p_negative, row.p_neutral, row.p_positive) for row in rows], wanted, atol=1e-5
    )
    assert [row.label for row in rows] == [int(place) - 1 for place in wanted.argmax(axis=1)]
    np.testing.assert_allclose([row.score for row in rows], wanted[:, 2] - wanted[:, 0], atol=1e-5)
    assert {(row.model_name, row.model_version) for row in rows} == {("tiny", "1")}


def test_only_new_tweets_and_changed_texts_are_scored(tables: Tables, tiny: TinyModel) -> None:
    tables.dump(("A1", TEXTS[0]), ("A2", TEXTS[1]))
    tables.score(tiny.exported)
    # nothing new: nothing committed
    commits = tables.commits()
    assert tables.score(tiny.exported) == {"texts": 0}
    assert tables.commits() == commits
    before = tables.rows()
    kept = before.where("tweet_id = 'A1'").collect()
    # a corrected text, a new tweet, and one that came again as it was
    tables.dump(("A1", TEXTS[0]), ("A2", TEXTS[2]), ("A3", TEXTS[3]))
    assert tables.score(tiny.exported) == {"insert": 1, "update": 1, "texts": 2}
    assert tables.rows().where("tweet_id = 'A1'").collect() == kept
    wanted = dict(zip(("A1", "A2", "A3"), tiny.probabilities([TEXTS[0], TEXTS[2], TEXTS[3]]), strict=True))
    scores = tables.scores("1")
    assert scores.keys() == wanted.keys()
    for tweet_id, probabilities in wanted.items():
        np.testing.assert_allclose(scores[tweet_id], probabilities, atol=1e-5)
    # a dump is retracted: the tweets of earlier dumps are current again
    tables.log.retract("d2")
    tables.clean_again()
    assert tables.score(tiny.exported) == {"update": 1, "delete": 1, "texts": 1}
    np.testing.assert_allclose(tables.scores("1")["A2"], tiny.probabilities([TEXTS[1]])[0], atol=1e-5)
    assert tables.scores("1").keys() == {"A1", "A2"}


def test_new_tweets_are_appended(tables: Tables, tiny: TinyModel) -> None:
    tables.dump(("A1", TEXTS[0]))
    tables.score(tiny.exported)
    tables.dump(("A2", TEXTS[1]))
    tables.score(tiny.exported)
    assert DeltaTable.forPath(tables.spark, tables.scored).history(1).first()["operation"] == "WRITE"


def test_each_distinct_text_is_scored_once(tables: Tables, tiny: TinyModel) -> None:
    tables.dump(*((f"A{number}", TEXTS[number % 2]) for number in range(40)))
    assert tables.score(tiny.exported) == {"insert": 40, "texts": 2}
    assert len(set(tables.scores("1").values())) == 2


def test_change_without_text_changes_records_the_position_and_scores_nothing(
    tables: Tables, tiny: TinyModel
) -> None:
    tables.dump(("A1", TEXTS[0]))
    tables.score(tiny.exported)
    tables.dumps += 1
    tables.log.append(Dump("labels", [Tweet("A1", TEXTS[0], 1.0, 1.0)], tables.dumps))
    tables.clean_again()
    assert tables.score(tiny.exported) == {"texts": 0}
    commits = tables.commits()
    assert tables.score(tiny.exported) == {"texts": 0}
    assert tables.commits() == commits


def test_new_champion_scores_all_tweets_and_earlier_scores_stay(tables: Tables, tiny: TinyModel) -> None:
    tables.dump(("A1", TEXTS[0]), ("A2", TEXTS[1]))
    tables.score(tiny.exported)
    first = tables.rows().where("model_version = '1'")
    kept = tables.spark.createDataFrame(first.collect(), first.schema)
    assert tables.score(another_version(tiny, "2")) == {"insert": 2, "texts": 2}
    assert_df_equality(first, kept, ignore_row_order=True)
    assert tables.scores("1").keys() == tables.scores("2").keys() == {"A1", "A2"}
    assert tables.scores("1") != tables.scores("2")
    # the old model is champion again and scores the new tweets
    tables.dump(("A3", TEXTS[2]))
    assert tables.score(tiny.exported) == {"insert": 1, "texts": 1}


def test_former_champion_whose_scores_were_deleted_scores_all_tweets_again(
    tables: Tables, tiny: TinyModel
) -> None:
    tables.dump(("A1", TEXTS[0]), ("A2", TEXTS[1]))
    tables.score(tiny.exported)
    for new in ((), (("A3", TEXTS[2]),)):  # without and with tweets that are new since its last run
        DeltaTable.forPath(tables.spark, tables.scored).delete("model_version = '1'")  # as apply_retention
        if new:
            tables.dump(*new)
        assert tables.score(tiny.exported) == {"insert": 2 + len(new), "texts": 2 + len(new)}
    assert tables.scores("1").keys() == {"A1", "A2", "A3"}


def test_another_model_with_the_same_version_replaces_the_rows(tables: Tables, tiny: TinyModel) -> None:
    # a registry that was created again restarts at version 1
    tables.dump(("A1", TEXTS[0]), ("A2", TEXTS[1]))
    tables.score(tiny.exported)
    tables.dump(("A3", TEXTS[2]))
    tables.log.retract("d1")
    tables.clean_again()
    assert tables.score(tiny.exported, origin="another run") == {"insert": 1, "delete": 2, "texts": 1}
    assert tables.scores("1").keys() == {"A3"}


def test_retry_after_a_crash_scores_each_tweet_once(
    tables: Tables, tiny: TinyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.dump(("A1", TEXTS[0]), ("A2", TEXTS[1]))

    def die(*arguments: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(increments, "score_rows", die)
        with pytest.raises(RuntimeError, match="killed"):
            tables.score(tiny.exported)
    assert tables.rows().count() == 0
    assert tables.score(tiny.exported) == {"insert": 2, "texts": 2}
    assert tables.scores("1").keys() == {"A1", "A2"}


def test_stale_run_that_overlaps_its_retry_adds_no_second_score(
    tables: Tables, tiny: TinyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Airflow restarts a task whose worker lost its heartbeat. The old driver may still run.
    tables.dump(("A1", TEXTS[0]), ("A2", TEXTS[1]))
    score_rows = increments.score_rows

    def run_retry(*arguments: object) -> DataFrame:
        monkeypatch.setattr(increments, "score_rows", score_rows)
        tables.score(tiny.exported)
        return score_rows(*arguments)

    monkeypatch.setattr(increments, "score_rows", run_retry)
    with pytest.raises(RuntimeError, match="changed after it was read"):
        tables.score(tiny.exported)
    assert tables.scores("1").keys() == {"A1", "A2"}


def test_scoring_continues_after_vacuum_removed_the_version_that_it_last_read(
    tables: Tables, tiny: TinyModel
) -> None:
    tables.dump(("A1", TEXTS[0]))
    tables.dump(("A2", TEXTS[1]))
    tables.score(tiny.exported)
    tables.spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    try:
        cleaned = DeltaTable.forPath(tables.spark, tables.clean)
        cleaned.optimize().executeCompaction()
        cleaned.vacuum(0)
    finally:
        tables.spark.conf.unset("spark.databricks.delta.retentionDurationCheck.enabled")
    tables.dump(("A3", TEXTS[2]))
    tables.score(tiny.exported)
    assert tables.scores("1").keys() == {"A1", "A2", "A3"}


def test_retried_task_gets_the_same_texts(spark: SparkSession) -> None:
    """After the loss of an executor, the rows and the ids of a text have another order."""
    texts = [(f"text {number}", [f"A{number}", f"B{number}"]) for number in range(200)]

    def partition_of(rows: list, slices: int) -> dict[str, int]:
        frame = spark.createDataFrame(
            spark.sparkContext.parallelize(rows, slices), "text string, tweet_ids array<string>"
        )
        return {
            row.text: row.part
            for row in increments.repartition_by_text(frame, 7)
            .select("text", F.spark_partition_id().alias("part"))
            .collect()
        }

    before = partition_of(texts, 4)
    assert partition_of([(text, ids[::-1]) for text, ids in reversed(texts)], 3) == before
    assert len(set(before.values())) == 7


def test_missing_table_is_an_input_error(tables: Tables, tiny: TinyModel) -> None:
    with pytest.raises(InputError, match=r"no table at .*tweets_clean: run clean_tweets first"):
        tables.score(tiny.exported)


@pytest.fixture
def run_job(tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return the job's main function, with the tests' session and a new registry."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    mlflow.set_tracking_uri(
        os.environ["MLFLOW_TRACKING_URI"]
    )  # one that another test has set this way would count more
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(score_tweets, "open_session", lambda name: tables.spark)
    monkeypatch.setattr(SparkSession, "stop", lambda session: None)
    paths = [
        f"--tweets-clean={tables.clean}",
        f"--tweets-scored={tables.scored}",
        f"--models={tmp_path}/models",
    ]
    paths += [
        f"--dumps={tmp_path}/dumps",
        f"--drift={tables.drift}",
        f"--report={tables.report}",
        f"--run-id={RUN_ID}",
    ]
    monkeypatch.setattr(sys, "argv", ["score_tweets", *paths, "--model-name=vaxpulse"])
    return score_tweets.main


def register(folder: str | None, alias: str = "champion") -> str:
    """Register a training run with or without an exported model, and return its version."""
    # MLflow remembers the experiment of the test before, which is in another database.
    with mlflow.start_run(experiment_id="0") as run:
        if folder is not None:
            mlflow.log_artifacts(folder, f"model/{EXPORT_ARTIFACT}")
        else:
            mlflow.log_text("a model of another kind", f"model/{EXPORT_ARTIFACT}/weights.bin")
    client = mlflow.MlflowClient()
    if not client.search_registered_models("name = 'vaxpulse'"):
        client.create_registered_model("vaxpulse")
    version = client.create_model_version(
        "vaxpulse", f"runs:/{run.info.run_id}/model", run.info.run_id
    ).version
    client.set_registered_model_alias("vaxpulse", alias, version)
    return str(version)


def test_champion_of_the_registry_scores(tables: Tables, tiny: TinyModel, run_job, tmp_path, capsys) -> None:
    version = register(tiny.exported.folder)
    tables.dump(("A1", TEXTS[0]), ("A2", TEXTS[1]))
    run_job()
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (summary["job"], summary["model_name"], summary["model_version"], summary["insert"]) == (
        "score_tweets",
        "vaxpulse",
        version,
        2,
    )
    assert summary["asset_event"] == {"rows": 2, "version": 1}  # version 0 is the empty table
    assert registry.main(FIND_CHAMPION) == DONE
    kept = tmp_path / "models/vaxpulse" / version
    assert {"model.onnx", "tokenizer.json", METADATA_FILE} <= {file.name for file in kept.iterdir()}
    run = mlflow.MlflowClient().get_model_version("vaxpulse", version).run_id
    assert json.loads((kept / registry.ORIGIN).read_text())["run_id"] == run  # for the page Lineage
    assert {row.model_version for row in tables.rows().collect()} == {version}
    page = (tables.report / "report.html").read_text()
    assert "Opinions about vaccines in 2 tweets" in page
    assert 'href="./manual__2026-11-23T00%3A00%3A00%2B00%3A00/files/submission-d1.csv"' in page
    assert 'href="./manual__2026-11-23T00%3A00%3A00%2B00%3A00/files/to-label.csv"' in page
    assert (tables.report / "to-label.csv").read_text().startswith("tweet_id,text,label\nA")
    header, *lines = (tables.report / "submission-d1.csv").read_text().splitlines()
    scores = {row.tweet_id: row.score for row in tables.rows().collect()}
    assert header == "tweet_id,label"
    assert {tweet_id: float(label) for tweet_id, label in (line.split(",") for line in lines)} == scores
    assert {
        row.tweet_id for row in tables.spark.read.parquet(str(tables.report / "scores-d1.parquet")).collect()
    } == {"A1", "A2"}


def test_report_is_about_the_version_that_was_scored(
    tables: Tables, tiny: TinyModel, run_job, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Version 2 is the champion: a Spark session keeps the first folder that is named after version 1.
    register(None, alias="challenger")
    register(tiny.exported.folder)
    # clean_tweets may commit while score_tweets runs. The new dump repeats a tweet that has a score.
    tables.dump(("A1", TEXTS[0]), ("A2", TEXTS[1]))
    score = score_tweets.score_tweets

    def score_and_clean(*arguments: object) -> dict[str, object]:
        summary = score(*arguments)  # type: ignore[arg-type]
        tables.dump(("A1", TEXTS[0]), ("A3", TEXTS[2]))
        return summary

    monkeypatch.setattr(score_tweets, "score_tweets", score_and_clean)
    run_job()
    assert "Opinions about vaccines in 2 tweets" in (tables.report / "report.html").read_text()
    assert [file.name for file in tables.report.glob("submission-*")] == ["submission-d1.csv"]


def test_report_without_tweets_replaces_the_figures_of_retracted_tweets(
    tables: Tables, tiny: TinyModel, run_job, capsys
) -> None:
    # Version 3 is the champion: in a Spark session folders of models have different names.
    for _ in range(2):
        register(None, alias="challenger")
    register(tiny.exported.folder)
    tables.dump(("A1", TEXTS[0]), ("A2", TEXTS[1]))
    run_job()
    tables.log.retract("d1")
    tables.clean_again()
    run_job()
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["delete"] == 2
    [section] = json.loads((tables.report / "figures.json").read_text())
    assert section == {"title": "Opinions", "text": section["text"], "tables": []}
    assert section["text"].startswith("No tweet is scored")


@pytest.mark.parametrize("registered", ["nothing", "another alias"])
def test_run_without_a_champion_has_nothing_to_do(tables: Tables, run_job, registered: str) -> None:
    if registered == "another alias":
        register(None, alias="challenger")
    with pytest.raises(NothingToDo, match="no version of vaxpulse has the alias champion: train and promote"):
        run_job()
    assert registry.main(FIND_CHAMPION) == NOTHING_TO_DO


def test_champion_without_an_export_is_an_input_error(tables: Tables, run_job) -> None:
    register(None)
    with pytest.raises(InputError, match=r"has no metadata.json: train and promote a model again"):
        run_job()


def test_model_that_was_not_evaluated_is_an_input_error(
    spark: SparkSession, tiny: TinyModel, tmp_path: Path
) -> None:
    replace(tiny.exported.metadata, eval_confusion=()).write(tmp_path)
    with pytest.raises(InputError, match="tiny version 1 was not evaluated"):
        read_model(spark, str(tmp_path), "tiny", "1")


def test_model_is_downloaded_again_if_the_registry_was_created_again(
    tiny: TinyModel, spark, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    mlflow.set_tracking_uri(
        os.environ["MLFLOW_TRACKING_URI"]
    )  # one that another test has set this way would count more
    monkeypatch.chdir(tmp_path)
    register(tiny.exported.folder)
    champion = registry.find_by_alias("vaxpulse", "champion")
    models = str(tmp_path / "models")
    folder = Path(registry.copy_to_file_system(spark, champion, models))
    fetched: list[object] = []
    fetch = registry.download_export
    monkeypatch.setattr(
        registry, "download_export", lambda *arguments: fetched.append(arguments) or fetch(*arguments)
    )
    registry.copy_to_file_system(spark, champion, models)
    assert not fetched
    (folder / METADATA_FILE).write_text("of another model")
    (folder / registry.ORIGIN).write_text("another run")
    registry.copy_to_file_system(spark, champion, models)
    assert len(fetched) == 1
    assert read_model(spark, str(folder), "vaxpulse", "1").metadata.architecture == "bert"
