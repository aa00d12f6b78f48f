"""Files of old MLflow runs are deleted; the champion and the newest run of each preset stay."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mlflow
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from mlflow import MlflowClient

from contracts.mlflow_names import CHAMPION_ALIAS, REGISTERED_MODEL, REPORTS_EXPERIMENT, TRAINING_EXPERIMENT
from retention import erase_from_mlflow
from retention.mlflow_runs import FILES_DELETED, Runs, delete_old_models, delete_old_reports

NOW = datetime(2026, 11, 28, tzinfo=UTC)
MONTH_AGO = NOW - timedelta(days=30)


@pytest.fixture
def client(tmp_path, monkeypatch, database):
    (tmp_path / "mlflow.db").write_bytes(database)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    mlflow.set_tracking_uri(uri)
    client = MlflowClient()
    for name in (TRAINING_EXPERIMENT, REPORTS_EXPERIMENT):
        client.create_experiment(name, artifact_location=(tmp_path / name).as_uri())
    yield client
    mlflow.set_tracking_uri(None)


def add_run(client, folder, days_old, tags, files, experiment=TRAINING_EXPERIMENT, status="FINISHED"):
    """Log a run and return its id."""
    start = int((NOW - timedelta(days=days_old)).timestamp() * 1000)
    experiment_id = client.get_experiment_by_name(experiment).experiment_id
    run_id = client.create_run(experiment_id, start_time=start, tags=tags).info.run_id
    for name, content in files.items():
        (folder / name).write_bytes(content)
        client.log_artifact(run_id, str(folder / name))
    if status != "RUNNING":
        client.set_terminated(run_id, status, start)
    return run_id


def add_training(client, tmp_path, days_old, preset, *, status="FINISHED", **files):
    """Log a training with weights and a logged model, like training.train. Return the id of the run."""
    files = {"weights.bin": b"0" * 1000} | files
    run_id = add_run(client, tmp_path, days_old, {"preset": preset}, files, status=status)
    client.log_metric(run_id, "eval_macro_f1", 0.7)
    experiment = client.get_experiment_by_name(TRAINING_EXPERIMENT).experiment_id
    model = client.create_logged_model(experiment, name="model", source_run_id=run_id)
    client.log_model_artifact(model.model_id, str(tmp_path / "weights.bin"))
    return run_id


def register(client, run_id, alias=None):
    if not client.search_registered_models():
        client.create_registered_model(REGISTERED_MODEL)
    source = client.get_run(run_id).info.artifact_uri
    version = client.create_model_version(REGISTERED_MODEL, source, run_id).version
    if alias:
        client.set_registered_model_alias(REGISTERED_MODEL, alias, version)
    return version


def disk_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_files_of_old_trainings_are_deleted_and_their_metrics_stay(client, tmp_path):
    old, newest = (add_training(client, tmp_path, days, "minilm") for days in (60, 40))
    before = disk_bytes(tmp_path / TRAINING_EXPERIMENT)
    assert delete_old_models(Runs(), MONTH_AGO, NOW) == [old]
    # weights and logged model
    assert disk_bytes(tmp_path / TRAINING_EXPERIMENT) == before / 2
    assert client.list_artifacts(old) == []
    assert client.get_run(old).data.metrics == {"eval_macro_f1": 0.7}
    # The trainer still finds it as a finished run, so that it does not train again.
    assert client.get_run(old).info.lifecycle_stage == "active"
    assert FILES_DELETED in client.get_run(old).data.tags
    assert [file.path for file in client.list_artifacts(newest)] == ["weights.bin"]
    assert delete_old_models(Runs(), MONTH_AGO, NOW) == []


def test_champion_aliased_versions_newest_runs_and_open_runs_stay(client, tmp_path):
    champion = add_training(client, tmp_path, 90, "minilm")
    candidate = add_training(client, tmp_path, 80, "minilm")
    other = add_training(client, tmp_path, 70, "minilm")
    add_training(client, tmp_path, 60, "minilm")
    add_training(client, tmp_path, 60, "bert")
    failed = add_training(client, tmp_path, 50, "minilm", status="FAILED")
    add_training(client, tmp_path, 50, "minilm", status="RUNNING")
    register(client, champion, CHAMPION_ALIAS)
    register(client, candidate, "candidate")
    register(client, other)
    assert sorted(delete_old_models(Runs(), MONTH_AGO, NOW)) == sorted([other, failed])


def test_old_reports_are_deleted_with_their_runs_except_the_newest_of_each_dag(client, tmp_path):
    def add_report(days_old, dag_id):
        tags = {"airflow_dag_id": dag_id}
        return add_run(client, tmp_path, days_old, tags, {"report.html": b"x"}, REPORTS_EXPERIMENT)

    old = add_report(50, "explore_tweets")
    kept = [add_report(40, "explore_tweets"), add_report(90, "score_tweets")]
    assert delete_old_reports(Runs(), MONTH_AGO) == [old]
    experiment = client.get_experiment_by_name(REPORTS_EXPERIMENT).experiment_id
    assert {run.info.run_id for run in client.search_runs([experiment])} == set(kept)
    assert disk_bytes(tmp_path / REPORTS_EXPERIMENT) == 2


def test_report_of_a_cleared_task_is_as_old_as_its_last_attempt(client, tmp_path):
    # A cleared task logs to the MLflow run of its first attempt.
    runs = {}
    for name, first_attempt, last_attempt in (("cleared", 60, 1), ("running", 60, None), ("old", 50, 50)):
        tags = {"airflow_dag_id": "score_tweets"}
        status = "RUNNING" if last_attempt is None else "FINISHED"
        run_id = add_run(client, tmp_path, first_attempt, tags, {}, REPORTS_EXPERIMENT, status)
        if last_attempt is not None:
            ended = NOW - timedelta(days=last_attempt)
            client.set_terminated(run_id, end_time=int(ended.timestamp() * 1000))
        runs[run_id] = name
    found = erase_from_mlflow.find_reports(Runs(), NOW - timedelta(days=10))
    assert {runs[run.info.run_id] for run in found} == {"cleared", "running"}
    assert [runs[run_id] for run_id in delete_old_reports(Runs(), MONTH_AGO)] == ["old"]


def erase_from_trainings(folder, capsys):
    rows = pa.table({"tweet_id": ["KEPT", "KEPT"]})
    write_deltalake(folder / "tweets_raw", rows, mode="overwrite")
    assert (
        erase_from_mlflow.main(["trainings", '--dumps=["bb"]', f"--tweets-raw={folder / 'tweets_raw'}"]) == 0
    )
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def target(folder):
    (folder / "downloaded").mkdir()
    return folder / "downloaded"


def erase_reports(since, capsys):
    assert erase_from_mlflow.main(["reports", f"--since={since}"]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])["reports_deleted"]


def test_erasure_rewrites_files_and_lists_the_models(client, tmp_path, capsys):
    ids = ["ERASED", "KEPT"]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"tweet_id": ids, "label": [1, 0]}), sink)
    files = {
        "eval_predictions.parquet": sink.getvalue().to_pybytes(),
        "confident_errors.csv": b'tweet_id,text,label\nERASED,"the canary,\nof an author",1\nKEPT,hm,0\n',
    }
    record = {"training_run.json": json.dumps({"dumps": ["aa", "bb"]}).encode()}
    other = {"training_run.json": json.dumps({"dumps": ["cc"]}).encode()}
    trained = add_training(client, tmp_path, 5, "minilm", **files, **record)
    add_training(client, tmp_path, 5, "bert", **other)
    register(client, trained, CHAMPION_ALIAS)
    for name in (*files, *record):
        (tmp_path / name).unlink()
    result = erase_from_trainings(tmp_path, capsys)
    assert result["files_rewritten"] == {trained: list(files)}
    assert result["trainings_running"] == []
    [model] = result["models_trained_on_these_dumps"]
    assert (model["run"], model["preset"], model["version"], model["champion"]) == (
        trained,
        "minilm",
        "1",
        True,
    )
    left = Path(client.download_artifacts(trained, "eval_predictions.parquet", str(tmp_path)))
    assert pq.read_table(left)["tweet_id"].to_pylist() == ["KEPT"]
    text = Path(client.download_artifacts(trained, "confident_errors.csv", str(tmp_path))).read_text()
    assert "canary" not in text
    assert "hm" in text


def test_run_that_a_user_deleted_is_erased_too(client, tmp_path, capsys):
    record = json.dumps({"dumps": ["bb"]}).encode()
    errors = b"tweet_id,text,label\nERASED,canary,1\n"
    files = {"confident_errors.csv": errors, "training_run.json": record}
    trained = add_training(client, tmp_path, 5, "minilm", **files)
    client.delete_run(trained)
    assert erase_from_trainings(tmp_path, capsys)["models_trained_on_these_dumps"][0]["run"] == trained
    left = Path(client.download_artifacts(trained, "confident_errors.csv", str(target(tmp_path))))
    assert "canary" not in left.read_text()


def test_running_training_is_named_because_it_logs_its_files_later(client, tmp_path, capsys):
    running = add_training(client, tmp_path, 0, "minilm", status="RUNNING")
    assert erase_from_trainings(tmp_path, capsys)["trainings_running"] == [running]
    client.delete_run(running)
    assert erase_from_trainings(tmp_path, capsys)["trainings_running"] == []


def test_erasure_without_the_table_is_an_error(client, tmp_path, capsys):
    trained = add_training(client, tmp_path, 5, "minilm", **{"confident_errors.csv": b"tweet_id\nKEPT\n"})
    assert erase_from_mlflow.main(["trainings", "--dumps=[]", f"--tweets-raw={tmp_path / 'no'}"]) == 65
    left = client.download_artifacts(trained, "confident_errors.csv", str(target(tmp_path)))
    assert "KEPT" in Path(left).read_text()


def test_erasure_deletes_the_reports_since_a_time_also_those_that_a_user_deleted(client, tmp_path, capsys):
    reports = [
        add_run(
            client, tmp_path, days, {"airflow_dag_id": "explore_tweets"}, {"r.html": b"a"}, REPORTS_EXPERIMENT
        )
        for days in (1, 2, 20)
    ]
    client.delete_run(reports[1])
    assert erase_reports("", capsys) == []  # no dump contained the tweets
    assert len(list(Runs().find([REPORTS_EXPERIMENT]))) == 2
    assert erase_reports((NOW - timedelta(days=10)).isoformat(), capsys) == reports[:2]
    assert [run.info.run_id for run in Runs().find([REPORTS_EXPERIMENT])] == reports[2:]
    assert client.list_artifacts(reports[1]) == []
    assert erase_reports((NOW - timedelta(days=10)).isoformat(), capsys) == []
