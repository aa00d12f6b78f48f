"""The result of an erasure for a person."""

from types import SimpleNamespace

from contracts.hdfs_paths import UPLOADS
from tests.plugins.folder_hdfs import FolderHdfs
from vaxpulse_dags.retention import REMAINS, describe_erasure

MODEL = {
    "run": "0a1b",
    "preset": "minilm",
    "table_version": "7",
    "version": "3",
    "champion": True,
    "was_champion": True,
}
RESULTS = {
    "raw": {
        "rows": {"tweets_raw": 1200, "quarantine": 1},
        "dumps": ["aa", "bb"],
        "since": "2026-11-01T00:00:00+00:00",
        "files_rewritten": ["aa"],
        "files_deleted": ["bb"],
        "not_searched_by_record": [],
    },
    "clean": {"rows": {"tweets_clean": 1}},
    "scored": {"rows": {"tweets_scored": 2}},
    "mlflow": {"reports_deleted": ["r1"]},
    "trainings": {
        "trainings_running": ["7f7f"],
        "files_rewritten": {"0a1b": ["eval_predictions.parquet"]},
        "models_trained_on_these_dumps": [
            MODEL,
            MODEL | {"version": None, "champion": False, "was_champion": False},
        ],
    },
}


def test_result_has_counts_files_models_and_what_remains():
    lines = describe_erasure(RESULTS, ["/vaxpulse/reports/explore_tweets/run"]).splitlines()
    assert lines[0] == "deleted rows: tweets_raw 1,200, quarantine 1, tweets_clean 1, tweets_scored 2"
    assert "files in raw/ rewritten: aa" in lines
    assert "unreadable files, searched by their bytes only: none" in lines
    assert "reports deleted in HDFS: /vaxpulse/reports/explore_tweets/run" in lines
    assert "trainings that MLflow lists as running: erase again when they have ended: 7f7f" in lines
    origin = "version 7 of tweets_clean, MLflow run 0a1b"
    assert f"- minilm, version 3, the champion, {origin}" in lines
    assert f"- minilm, not registered, never the champion, {origin}" in lines
    assert [f"- {each}" for each in REMAINS] == lines[-len(REMAINS) :]


def test_uploads_are_erased_also_if_no_report_is(dag_bag, monkeypatch, tmp_path):
    hdfs = FolderHdfs(tmp_path)
    upload = tmp_path / UPLOADS.lstrip("/") / "a" / "file" / "june.csv"
    upload.parent.mkdir(parents=True)
    upload.write_text("text")
    hook = SimpleNamespace(get_conn=lambda: hdfs)
    monkeypatch.setattr("vaxpulse_airflow.webhdfs.TimedWebHDFSHook", lambda: hook)
    erase_reports = dag_bag.dags["erase_tweets"].get_task("erase_reports").python_callable
    assert erase_reports({"since": None}) == []
    assert not upload.exists()
