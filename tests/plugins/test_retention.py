"""Old reports, models and dumps are deleted in HDFS; linked ones stay."""

import os
from datetime import UTC, datetime, timedelta

import pytest

from contracts import hdfs_paths
from tests.plugins.folder_hdfs import FolderHdfs
from vaxpulse_airflow.retention import delete_old_entries, delete_old_reports, delete_reports_since

NOW = datetime(2026, 11, 28, tzinfo=UTC)


@pytest.fixture
def hdfs(tmp_path):
    return FolderHdfs(tmp_path)


def write(hdfs, path, days_old):
    """Write a file. It and its folder get an mtime."""
    file = hdfs.root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"content")
    moment = (NOW - timedelta(days=days_old)).timestamp()
    for each in (file, file.parent):
        os.utime(each, (moment, moment))


def report(dag_id, run_id):
    return hdfs_paths.report_path(dag_id, run_id)


def test_old_reports_are_deleted_with_their_exports(hdfs):
    for days in (1, 29, 31, 60):
        for name in ("report.html", "scores-0123.parquet"):
            write(hdfs, f"{report('score_tweets', f'run{days}')}/{name}", days)
    deleted = delete_old_reports(hdfs, NOW - timedelta(days=30), [])
    assert sorted(deleted) == [report("score_tweets", "run31"), report("score_tweets", "run60")]
    assert hdfs.list(f"{hdfs_paths.REPORTS}/score_tweets") == ["run1", "run29"]


def test_newest_report_of_each_dag_and_kept_reports_stay(hdfs):
    for days in (50, 60, 70):
        for dag_id in ("explore_tweets", "train_classifiers"):
            write(hdfs, f"{report(dag_id, f'run{days}')}/report.html", days)
    deleted = delete_old_reports(hdfs, NOW - timedelta(days=30), [report("train_classifiers", "run70")])
    assert sorted(deleted) == [
        *(report("explore_tweets", f"run{days}") for days in (60, 70)),
        report("train_classifiers", "run60"),
    ]


def test_latest_complete_report_stays_if_later_runs_failed(hdfs):
    for days in (40, 50):
        write(hdfs, f"{report('score_tweets', f'complete{days}')}/report.html", days)
    for days in (1, 35):
        write(hdfs, f"{report('score_tweets', f'failed{days}')}/scores-0123.parquet", days)
    deleted = delete_old_reports(hdfs, NOW - timedelta(days=30), [])
    assert sorted(deleted) == [report("score_tweets", name) for name in ("complete50", "failed35")]


def test_nothing_is_deleted_before_the_first_report(hdfs):
    assert delete_old_reports(hdfs, NOW, []) == []
    assert delete_old_entries(hdfs, hdfs_paths.RAW, NOW, []) == []


def test_old_models_are_deleted_except_the_champion(hdfs):
    folder = f"{hdfs_paths.MODELS}/vaxpulse"
    for version, days in (("1", 90), ("2", 60), ("3", 1)):
        write(hdfs, f"{folder}/{version}/model.onnx", days)
    assert delete_old_entries(hdfs, folder, NOW - timedelta(days=30), [f"{folder}/1"]) == [f"{folder}/2"]
    assert hdfs.list(folder) == ["1", "3"]


def test_old_dumps_are_deleted_except_held_ones(hdfs):
    for name, days in (("aa", 400), ("bb", 400), ("cc", 1)):
        write(hdfs, hdfs_paths.raw_path(name), days)
    held = [hdfs_paths.raw_path("bb")]
    assert delete_old_entries(hdfs, hdfs_paths.RAW, NOW - timedelta(days=365), held) == [
        hdfs_paths.raw_path("aa")
    ]


def test_reports_since_a_time_are_deleted_also_the_newest(hdfs):
    for days in (1, 10, 20):
        write(hdfs, f"{report('explore_tweets', f'run{days}')}/report.html", days)
    deleted = delete_reports_since(hdfs, NOW - timedelta(days=10))
    assert sorted(deleted) == [report("explore_tweets", "run1"), report("explore_tweets", "run10")]
