"""The checks of `make stack-smoke` find missing scores, idle workers, open ports and visible secrets."""

from types import SimpleNamespace

import pytest
from deltalake import DeltaTable, write_deltalake

from deploy.common import summary
from deploy.common.dag_runs import FollowedRun
from deploy.common.errors import CommandError
from deploy.stack import docker, settings
from tests.stack_acceptance import pipeline, security, spark_work

SHA256 = "a" * 64
SCORED_RUN = {"score_tweets": FollowedRun("score_tweets", "1", skipped=False, notes=[])}


@pytest.fixture
def platform(tmp_path, monkeypatch):
    """Two tweets of the dump and one of another dump. Version 2 is the champion."""
    import pyarrow as pa

    def put(name, rows):
        write_deltalake(tmp_path / name, pa.Table.from_pylist(rows), mode="overwrite")

    put(
        "tweets_clean",
        [
            {"tweet_id": id, "dump_sha256": sha256}
            for id, sha256 in (("1", SHA256), ("2", SHA256), ("3", "b" * 64))
        ],
    )
    monkeypatch.setattr(summary, "open_table", lambda _, name: DeltaTable(tmp_path / name))
    monkeypatch.setattr(summary, "champion", lambda _: {"name": "vaxpulse", "version": "2"})
    return lambda scored: put(
        "tweets_scored", [{"tweet_id": id, "model_version": version} for id, version in scored]
    )


def dumps_table(state, run_id):
    import pyarrow as pa

    return pa.Table.from_pylist([{"dump_sha256": SHA256, "state": state, "run_id": run_id}])


def test_each_tweet_of_the_dump_is_scored_once_by_the_champion(platform, capsys):
    platform([("1", "2"), ("2", "2"), ("3", "2"), ("1", "1")])
    pipeline.check_scores(None, SHA256, SCORED_RUN)
    assert (
        capsys.readouterr().out == "scores: 2 tweets of the dump, each once; 3 scores of version 2 in total\n"
    )


@pytest.mark.parametrize("scored", [[("1", "2"), ("2", "1")], [("1", "2"), ("2", "2"), ("2", "2")]])
def test_tweet_without_a_score_or_with_two_scores_is_found(platform, scored):
    platform(scored)
    with pytest.raises(CommandError, match=r"^1 of 2 tweets do not have one score of version 2: 2 \.\.\.$"):
        pipeline.check_scores(None, SHA256, SCORED_RUN)


def test_scoring_that_did_not_run_is_found():
    with pytest.raises(CommandError, match="no run of score_tweets was triggered"):
        pipeline.check_scores(None, SHA256, {})


@pytest.mark.parametrize("loaded_by", ["triggered", "scheduled"])
def test_the_run_that_loaded_the_dump_is_followed(monkeypatch, tmp_path, loaded_by):
    write_deltalake(tmp_path / "dumps", dumps_table("loaded", loaded_by))
    monkeypatch.setattr(summary, "open_table", lambda _, name: DeltaTable(tmp_path / name))
    monkeypatch.setattr(
        pipeline,
        "follow",
        lambda _, dag_id, run_id, __: [FollowedRun(dag_id, run_id, skipped=False, notes=[])],
    )
    runs = pipeline.follow_loading_run(None, None, SHA256, "triggered")
    assert [(run.dag_id, run.run_id) for run in runs] == [("ingest_tweets", loaded_by)]


def test_dump_that_no_run_loaded_is_found(monkeypatch, tmp_path):
    write_deltalake(tmp_path / "dumps", dumps_table("held", "triggered"))
    monkeypatch.setattr(summary, "open_table", lambda _, name: DeltaTable(tmp_path / name))
    monkeypatch.setattr(pipeline, "follow", lambda *_: [])
    with pytest.raises(CommandError, match="no loaded dump with the SHA-256 aaaa"):
        pipeline.follow_loading_run(None, None, SHA256, "triggered")


@pytest.mark.parametrize(("tags", "has_reason"), [({"reason": "no champion yet"}, True), ({}, False)])
def test_trained_model_without_a_reason_for_its_promotion_is_found(monkeypatch, capsys, tags, has_reason):
    versions = [SimpleNamespace(run_id="r1", tags=tags)]
    monkeypatch.setattr(summary, "champion", lambda _: None)
    monkeypatch.setattr(
        summary, "mlflow_client", lambda _: SimpleNamespace(search_model_versions=lambda _: versions)
    )
    if has_reason:
        pipeline.check_promotions(None, {"r1"})
        assert capsys.readouterr().out == "champion: None\npromotion: no champion yet\n"
    else:
        with pytest.raises(CommandError, match="run r1 was promoted or not"):
            pipeline.check_promotions(None, {"r1"})


def test_worker_without_tasks_is_found():
    tasks = {
        "clean_tweets app-1": {"172.18.0.5": 3, "172.18.0.6": 4},
        "score_tweets app-2": {"172.18.0.5": 9, "172.18.0.6": 0},
    }
    assert list(spark_work.find_problems(tasks, workers=2)) == [
        "score_tweets app-2: 1 of 2 Spark workers ran its tasks"
    ]


def test_tasks_are_counted_by_worker_and_not_for_the_driver(monkeypatch):
    executors = [
        {"id": "driver", "hostPort": "172.18.0.9:1", "totalTasks": 5},
        {"id": "0", "hostPort": "172.18.0.5:2", "totalTasks": 3},
        {"id": "1", "hostPort": "172.18.0.5:3", "totalTasks": 4},
    ]
    # At first the application has not ended, then the History Server reads its log, then it returns the
    # executors.
    responses = iter([(False, 200, []), (True, 404, None), (True, 200, executors)])

    def request(_, url):
        nonlocal completed, status, shown
        if "allexecutors" in url:
            return status, shown
        completed, status, shown = next(responses)
        return 200, [{"id": "app-1", "name": "clean_tweets", "attempts": [{"completed": completed}]}]

    completed = status = shown = None
    monkeypatch.setattr(spark_work, "request", request)
    monkeypatch.setattr(spark_work, "POLL_SECONDS", 0)
    assert spark_work.tasks_by_worker("http://history", since=0) == {"clean_tweets app-1": {"172.18.0.5": 7}}
    assert not list(responses)


def test_error_of_the_history_server_is_not_an_empty_list(monkeypatch):
    monkeypatch.setattr(spark_work, "request", lambda *_: (503, None))
    monkeypatch.setattr(spark_work, "TIMEOUT_SECONDS", -1)
    with pytest.raises(OSError, match="answered 503"):
        spark_work.tasks_by_worker("http://history", since=0)


def container(
    name="vaxpulse-mlflow-1",
    user="10001",
    image="vaxpulse-mlflow:local",
    host="127.0.0.1",
    port="5000",
    **more,
):
    bindings = {
        "NetworkSettings": {"Ports": {"5000/tcp": [{"HostIp": host, "HostPort": port}], "9000/tcp": None}}
    }
    return {"Name": name, "Config": {"User": user, "Image": image}} | bindings | more


@pytest.mark.parametrize(
    ("changed", "problems"),
    [
        ({}, []),
        ({"host": "0.0.0.0"}, ["vaxpulse-mlflow-1 publishes 0.0.0.0:5000"]),
        ({"port": "9999"}, ["vaxpulse-mlflow-1 publishes 127.0.0.1:9999"]),
        ({"user": ""}, ["vaxpulse-mlflow-1 runs as root"]),
        ({"Env": ["X=s3cret-of-mlflow"]}, ["docker inspect vaxpulse-mlflow-1 shows MLFLOW_PASSWORD"]),
    ],
)
def test_open_ports_root_and_visible_secrets_are_found(monkeypatch, changed, problems):
    for name in settings.port_variables():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(security, "inspect_containers", lambda: [container(**changed)])
    monkeypatch.setattr(docker, "docker", lambda *_: "")
    monkeypatch.setattr(security, "find_login_problems", lambda *_: ())
    monkeypatch.setattr(security, "find_role_problems", lambda *_: ())
    monkeypatch.setattr(security, "read_outputs", lambda _: iter([("a log", "start")]))
    assert list(security.find_problems({"MLFLOW_PASSWORD": "s3cret-of-mlflow"})) == problems


def test_secret_in_the_history_of_an_image_is_found(monkeypatch):
    monkeypatch.setattr(security, "inspect_containers", lambda: [container()])
    monkeypatch.setattr(
        docker, "docker", lambda command, *_: "RUN echo s3cret-of-mlflow" if command == "history" else ""
    )
    monkeypatch.setattr(security, "find_login_problems", lambda *_: ())
    monkeypatch.setattr(security, "find_role_problems", lambda *_: ())
    monkeypatch.setattr(security, "read_outputs", lambda _: iter([("a log", "start")]))
    assert list(security.find_problems({"MLFLOW_PASSWORD": "s3cret-of-mlflow"})) == [
        "the history of vaxpulse-mlflow:local shows MLFLOW_PASSWORD"
    ]


def test_secret_in_a_log_an_argument_a_database_or_a_setting_of_spark_is_found(monkeypatch):
    monkeypatch.setattr(security, "inspect_containers", list)
    monkeypatch.setattr(security, "find_login_problems", lambda *_: ())
    monkeypatch.setattr(security, "find_role_problems", lambda *_: ())
    monkeypatch.setattr(docker, "docker", lambda *arguments: f"s3cret-of-mlflow {arguments}")
    responses = iter([(200, [{"id": "app-1"}]), (200, {"sparkProperties": [["a", "s3cret-of-mlflow"]]})])
    monkeypatch.setattr(security, "request", lambda *_: next(responses))
    found = list(security.find_problems({"MLFLOW_PASSWORD": "s3cret-of-mlflow"}))
    assert found == [
        f"{place} shows MLFLOW_PASSWORD"
        for place in (
            "docker compose logs",
            "the arguments of processes",
            "a task log",
            "the database airflow",
            "the database mlflow",
            "http://127.0.0.1:18080/api/v1/applications/app-1/environment",
        )
    ]


class OnePageFails:
    """Stands for Airflow's API. The page *Models* fails."""

    url = "http://airflow"

    @property
    def session(self):
        return self

    def get(self, address, timeout):
        status = 500 if address.endswith("/pulse/models") else 200
        return SimpleNamespace(status_code=status, content=b"<html></html>")


def test_page_that_does_not_open_is_named(monkeypatch, capsys):
    with pytest.raises(CommandError, match=r"^Airflow answered 500 for the page /pulse/models$"):
        pipeline.check_pages(OnePageFails())
    monkeypatch.setattr(pipeline, "PAGES", ("overview", "dumps"))
    pipeline.check_pages(OnePageFails())
    assert capsys.readouterr().out == "pages: overview, dumps open\n"
