"""Page *Lineage*: tables that are written as the jobs write them, and records of MLflow and Airflow."""

import json
import re
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, write_deltalake

from contracts.hdfs_paths import MODELS
from contracts.tables import (
    DRIFT,
    ERASURES,
    PIPELINE_METRICS,
    TWEETS_CLEAN,
    TWEETS_RAW,
    TWEETS_SCORED,
)
from loading.tables.commits import append_dump
from loading.tables.erasures import hash_id
from loading.tables.schemas import arrow_schema, create_table
from tests.plugins.pages.platform import HOSTILE, MORNING, dump, sha256_of
from vaxpulse_airflow.pages.data.delta_log import DeltaLog

JUNE = sha256_of("june.csv")
METADATA = {
    "architecture": "bert", "preset": "bge-small", "text_column": "text", "inputs": ["input_ids"],
    "labels": [-1, 0, 1], "table_version": 1, "train_label_shares": {"-1": 1.0},
    "git_commit": "f00dfeed" * 5, "eval_confusion": [],
}  # fmt: skip


def position(stage, source_version):
    """Return the properties of a commit of a Spark job."""
    values = {"stage": stage, "rules": "1", "source_id": "a", "source_version": source_version}
    return CommitProperties(custom_metadata={"userMetadata": json.dumps(values)})


def write(platform, table, rows, properties=None, **options):
    filled = [dict.fromkeys(table.column_names()) | row for row in rows]
    data = pa.Table.from_pylist(filled, schema=arrow_schema(table))
    write_deltalake(platform.uri(table), data, mode="append", commit_properties=properties, **options)


def load(platform, sha256, *tweet_ids):
    create_table(platform.uri(TWEETS_RAW), TWEETS_RAW)
    rows = [
        {"tweet_id": tweet_id, "safe_text": "a", "dump_sha256": sha256, "delivered_at": MORNING,
         "ingested_at": datetime.now(UTC)}
        for tweet_id in tweet_ids
    ]  # fmt: skip
    filled = [dict.fromkeys(TWEETS_RAW.column_names()) | row for row in rows]
    batches = pa.Table.from_pylist(filled, schema=arrow_schema(TWEETS_RAW)).to_batches()
    append_dump(DeltaTable(platform.uri(TWEETS_RAW)), sha256, batches)


def clean(platform, raw_version, sha256, *tweet_ids):
    rows = [
        {"tweet_id": each, "safe_text": "a", "text": "a", "label": 1, "hashtags": [], "emoji": [],
         "clean_text": "a", "stemmed_text": "a", "text_group": "f", "split": "train", "dump_sha256": sha256}
        for each in tweet_ids
    ]  # fmt: skip
    write(platform, TWEETS_CLEAN, rows, position("clean_tweets", raw_version))


def score(platform, version, clean_version, *tweet_ids):
    rows = [
        {"tweet_id": each, "p_negative": 0.1, "p_neutral": 0.2, "p_positive": 0.7, "label": 1, "score": 0.6,
         "model_name": "vaxpulse", "model_version": version, "scored_at": datetime.now(UTC)}
        for each in tweet_ids
    ]  # fmt: skip
    write(
        platform, TWEETS_SCORED, rows, position(f"score_tweets vaxpulse {version}", clean_version),
        partition_by=["model_name", "model_version"],
    )  # fmt: skip


def put_model(hdfs, version, **metadata):
    folder = f"{MODELS}/vaxpulse/{version}"
    hdfs.put(f"{folder}/metadata.json", json.dumps(METADATA | metadata).encode())
    hdfs.put(f"{folder}/origin.json", json.dumps({"run_id": f"{int(version):032x}"}).encode())


@pytest.fixture
def story(platform, hdfs, airflow, mlflow):
    """Two dumps. Version 3 of the model scored the first, then both; version 2 scored the first."""
    platform.add_dumps(dump("june.csv", run_id="manual__june"), dump("july.csv"))
    load(platform, JUNE, "A1", "A2")  # version 1: the empty table is version 0
    clean(platform, 1, JUNE, "A1", "A2")  # version 0
    score(platform, "2", 0, "A1")  # version 0
    load(platform, sha256_of("july.csv"), "B1")
    clean(platform, 2, sha256_of("july.csv"), "B1", "B2")  # version 1
    score(platform, "3", 1, "A1", "B1")  # version 1
    put_model(hdfs, "3")
    tags = {"airflow_dag_id": "train_classifiers", "airflow_run_id": "scheduled__7", "git_commit": "c0ffee"}
    params = {"dataset.train_rows": "6424", "dataset.table_version": "0", "config.teacher": "None"}
    for version in (2, 3):
        mlflow.runs[f"{version:032x}"] = {"experiment": "1", "tags": tags, "params": params}
    airflow.runs = [{"dag_id": "review_dump", "dag_run_id": "manual__june", "state": "success"}]
    now = datetime.now(UTC)
    metrics = {"task_id": "t", "map_index": -1, "state": "success", "tries": 1, "seconds": 1.0}
    times = {"started_at": now - timedelta(minutes=5), "ended_at": now + timedelta(minutes=5)}
    write(platform, PIPELINE_METRICS, [{"dag_id": "score_tweets", "run_id": "manual__s"} | metrics | times])


def text_of(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


def test_page_without_parameters_has_the_search(browser):
    page = browser.get("/lineage").text
    assert 'name="tweet"' in page
    assert "<section" not in page


def test_tweet_leads_to_model_tables_dump_and_source_file(browser, story):
    page = browser.get("/lineage?tweet=A1").text
    text = text_of(page)
    for fact in (
        "Predicted label positive", "+0.600", "negative 0.100, neutral 0.200, positive 0.700",
        "tweets_scored version 1 of", "from version 1 of tweets_clean", "tweets_clean version 1 of",
        "from version 2 of tweets_raw", "tweets_raw version 1 of", "Preset bge-small",
        f"Git commit of the training {METADATA['git_commit']}", "Training tweets 6424",
        "Trained on version 1 of tweets_clean, from version 2 of tweets_raw", "Source file june.csv", JUNE,
    ):  # fmt: skip
        assert fact in text, fact
    for link in (
        f'href="http://mlflow:5000/#/runs/{3:032x}?workflowType=machine_learning"', 'href="http://mlflow:5000/#/models/vaxpulse/versions/3?workflowType=machine_learning"',
        'href="/dags/train_classifiers/runs/scheduled__7"', 'href="/dags/score_tweets/runs/manual__s"',
        'href="/dags/review_dump/runs/manual__june"', f'href="/dumps/{JUNE}"',
        'href="/lineage?tweet=A1&amp;version=2"',
    ):  # fmt: skip
        assert link in page, link


def test_earlier_version_has_its_own_commits_and_training(browser, story):
    text = text_of(browser.get("/lineage?tweet=A1&version=2").text)
    assert "tweets_scored version 0 of" in text
    assert "tweets_clean version 0 of" in text
    assert "from version 1 of tweets_raw" in text
    assert "HDFS has no files of this version" in text
    assert "Git commit of the training c0ffee" in text
    assert "Trained on version 0 of tweets_clean" in text


def test_tweet_that_is_not_scored_still_has_its_dump(browser, story):
    text = text_of(browser.get("/lineage?tweet=B2").text)
    assert "Version 3 of the model has not scored this tweet." in text
    assert "Source file july.csv" in text
    assert "tweets_raw version 2 of" in text
    assert "Model vaxpulse" not in text


def test_platform_without_scores_shows_tables_and_dump(browser, platform):
    platform.add_dumps(dump("june.csv"))
    load(platform, JUNE, "A1")
    clean(platform, 1, JUNE, "A1")
    text = text_of(browser.get("/lineage?tweet=A1").text)
    assert "No model has scored tweets yet." in text
    assert "tweets_clean version 0 of" in text
    assert "No commit was found in the log of tweets_scored" in text
    assert "Airflow does not show this run to you" in text


def test_unknown_tweet_is_explained(browser, story):
    assert "tweets_clean has no tweet with this id" in browser.get("/lineage?tweet=C1").text
    assert "tweets_clean has no tweet with this id" in browser.get("/lineage?tweet=A").text


def test_erased_tweet_is_named_with_the_run_to_users_who_may_see_it(browser, story, platform, permissions):
    erasure = {"subject": "tweet", "sha256": hash_id("C1"), "erased_at": MORNING, "reason": "by <i>Ann"}
    write(platform, ERASURES, [erasure | {"run_id": "manual__e"}])
    page = browser.get("/lineage?tweet=C1").text
    assert "Erased 2026-11-24 08:30 UTC" in text_of(page)
    assert 'href="/dags/erase_tweets/runs/manual__e"' in page
    assert "Ann" not in page
    permissions.hidden.add("erase_tweets")
    assert "Erased 2026" not in text_of(browser.get("/lineage?tweet=C1").text)


def test_dump_leads_to_the_first_commits_that_contain_it(browser, story, platform):
    row = {"dump_sha256": JUNE, "model_name": "vaxpulse", "tweets": 2, "breaches": [], "measured_at": MORNING}
    write(platform, DRIFT, [row | {"model_version": each} for each in ("2", "3")])
    text = text_of(browser.get(f"/lineage?dump={JUNE}&version=2").text)
    assert "Source file june.csv" in text
    assert "tweets_raw version 1 of" in text
    assert "tweets_clean version 0 of" in text
    assert "tweets_scored version 0 of" in text
    assert "Scored by version 3" in text
    assert "Model vaxpulse, version 2" in text
    assert "Model vaxpulse, version 3" in text_of(browser.get(f"/lineage?dump={JUNE}").text)


def test_dump_that_is_not_scored_or_unknown_is_explained(browser, story):
    assert "No model has scored this dump yet." in browser.get(f"/lineage?dump={JUNE}").text
    assert "dumps has no dump with this SHA-256" in browser.get(f"/lineage?dump={'0' * 64}").text


def test_model_without_mlflow_is_shown_from_hdfs(browser, story, mlflow):
    mlflow.error = "it does not answer (ConnectTimeout)"
    page = browser.get("/lineage?version=3").text
    assert "MLflow was not read: it does not answer (ConnectTimeout)" in page
    assert f'href="http://mlflow:5000/#/runs/{3:032x}?workflowType=machine_learning"' in page
    assert METADATA["git_commit"] in page


def test_invalid_files_of_a_model_are_explained(browser, story, hdfs):
    hdfs.put(f"{MODELS}/vaxpulse/3/metadata.json", b"{")
    page = browser.get("/lineage?version=3").text
    assert "The files of the model in HDFS are not readable: metadata.json is invalid" in page
    assert "c0ffee" in page


def test_steps_need_the_permission_for_their_dag(browser, story, permissions):
    permissions.hidden |= {"ingest_tweets", "train_classifiers"}
    text = text_of(browser.get("/lineage?tweet=A1").text)
    assert "You may not see the runs of ingest_tweets" in text
    assert "You may not see the runs of train_classifiers" in text
    assert "june.csv" not in text
    assert METADATA["git_commit"] not in text
    assert "june.csv" not in browser.get(f"/lineage?dump={JUNE}").text
    permissions.hidden.add("score_tweets")
    assert browser.get("/lineage?tweet=A1").status_code == 403


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_parameters_and_sources_are_harmless(browser, platform, text):
    assert browser.get("/lineage", params={"tweet": text}).status_code == 422
    platform.add_dumps(dump(text))
    page = browser.get(f"/lineage?dump={sha256_of(text)}").text
    assert "<script" not in page
    assert "<img" not in page
    assert "ann_smith" not in page


def test_dump_and_models_link_to_their_lineage(browser, platform):
    platform.add_dumps(dump("june.csv"))
    assert f'href="/lineage?dump={JUNE}"' in browser.get(f"/dumps/{JUNE}").text


def test_commit_is_found_with_few_reads_and_after_the_log_was_cut(tmp_path, monkeypatch):
    for number in range(60):
        properties = position("clean_tweets" if number % 3 == 0 else "OPTIMIZE", number)
        write_deltalake(tmp_path, pa.table({"a": [number]}), mode="append", commit_properties=properties)
    table = DeltaTable(tmp_path)
    time = DeltaLog(table).read(40).time
    for version in range(20):
        (tmp_path / f"_delta_log/{version:020d}.json").unlink()
    read, reads = DeltaLog.read, []
    monkeypatch.setattr(DeltaLog, "read", lambda log, version: reads.append(version) or read(log, version))
    found = DeltaLog(table).find_since(time, lambda commit: commit.stage == "clean_tweets")
    assert found.version in (39, 42)  # commits of one millisecond
    assert found.time >= time
    assert len(reads) <= 10
    assert DeltaLog(table).find_until(21, lambda commit: commit.source_version == 5) is None
    # The first commit that is left is not the first one since an earlier time.
    early = time - timedelta(days=1)
    assert DeltaLog(table).find_since(early, lambda commit: commit.stage == "clean_tweets") is None
