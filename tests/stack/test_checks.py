"""What `make stack-smoke` judges: scores, verdicts, Spark's work, ports, and what Docker shows."""

from types import SimpleNamespace

import pytest
from deltalake import DeltaTable, write_deltalake

from deploy.embedded import summary
from deploy.embedded.follow import FollowedRun
from deploy.stack import client, docker, security, settings, spark_work

SHA256 = "a" * 64
SCORED_RUN = {"score_tweets": FollowedRun("score_tweets", "1", skipped=False, notes=[])}


@pytest.fixture
def platform(tmp_path, monkeypatch):
    """Two tweets of the dump and one of another; version 2 is the champion and has scored what `scored` holds."""
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
    monkeypatch.setattr(summary, "table", lambda _, name: DeltaTable(tmp_path / name))
    monkeypatch.setattr(summary, "champion", lambda _: {"name": "vaxpulse", "version": "2"})
    return lambda scored: put(
        "tweets_scored", [{"tweet_id": id, "model_version": version} for id, version in scored]
    )


def test_each_tweet_of_the_dump_is_scored_once_by_the_champion(platform, capsys):
    platform([("1", "2"), ("2", "2"), ("3", "2"), ("1", "1")])
    client.check_scores(None, SHA256, SCORED_RUN)
    assert capsys.readouterr().out == "scores: 2 tweets of the dump, each once; 3 of version 2 in all\n"


@pytest.mark.parametrize("scored", [[("1", "2"), ("2", "1")], [("1", "2"), ("2", "2"), ("2", "2")]])
def test_a_tweet_without_a_score_or_with_two_is_found(platform, scored):
    platform(scored)
    with pytest.raises(
        client.SmokeFailed, match=r"^1 of 2 tweets have not exactly one score of version 2: 2 \.\.\.$"
    ):
        client.check_scores(None, SHA256, SCORED_RUN)


def test_scoring_that_did_not_run_is_found():
    with pytest.raises(client.SmokeFailed, match="no run of score_tweets was caused"):
        client.check_scores(None, SHA256, {})


@pytest.mark.parametrize(("tags", "is_judged"), [({"reason": "no champion yet"}, True), ({}, False)])
def test_each_model_that_was_trained_has_a_verdict(monkeypatch, capsys, tags, is_judged):
    versions = [SimpleNamespace(run_id="r1", tags=tags)]
    monkeypatch.setattr(summary, "champion", lambda _: None)
    monkeypatch.setattr(
        summary, "mlflow_client", lambda _: SimpleNamespace(search_model_versions=lambda _: versions)
    )
    if is_judged:
        client.check_champion(None, {"r1"})
        assert capsys.readouterr().out == "champion: None\nverdict: no champion yet\n"
    else:
        with pytest.raises(client.SmokeFailed, match="run r1 was promoted or not"):
            client.check_champion(None, {"r1"})


def test_a_worker_that_ran_no_task_is_found():
    tasks = {
        "clean_tweets app-1": {"172.18.0.5": 3, "172.18.0.6": 4},
        "score_tweets app-2": {"172.18.0.5": 9, "172.18.0.6": 0},
    }
    assert list(spark_work.problems(tasks, workers=2)) == [
        "score_tweets app-2: 1 of 2 Spark workers ran its tasks"
    ]


def test_tasks_are_counted_by_worker_and_not_for_the_driver(monkeypatch):
    executors = [
        {"id": "driver", "hostPort": "172.18.0.9:1", "totalTasks": 5},
        {"id": "0", "hostPort": "172.18.0.5:2", "totalTasks": 3},
        {"id": "1", "hostPort": "172.18.0.5:3", "totalTasks": 4},
    ]
    # The application has just ended: at first the History Server does not know, then it is reading the log again, then it answers.
    looks = iter([(False, 200, []), (True, 404, None), (True, 200, executors)])

    def request(_, url):
        nonlocal completed, status, shown
        if "allexecutors" in url:
            return status, shown
        completed, status, shown = next(looks)
        return 200, [{"id": "app-1", "name": "clean_tweets", "attempts": [{"completed": completed}]}]

    completed = status = shown = None
    monkeypatch.setattr(spark_work, "request", request)
    monkeypatch.setattr(spark_work, "POLL_SECONDS", 0)
    assert spark_work.tasks_by_worker("http://history", since=0) == {"clean_tweets app-1": {"172.18.0.5": 7}}
    assert not list(looks)


def test_a_history_server_that_does_not_answer_is_no_list_without_applications(monkeypatch):
    monkeypatch.setattr(spark_work, "request", lambda *_: (503, None))
    monkeypatch.setattr(spark_work, "PATIENCE_SECONDS", -1)
    with pytest.raises(OSError, match="answers 503"):
        spark_work.tasks_by_worker("http://history", since=0)


def container(
    name="vaxpulse-mlflow-1",
    user="10001",
    image="vaxpulse-mlflow:0.1.0",
    host="127.0.0.1",
    port="5000",
    **more,
):
    bindings = {
        "NetworkSettings": {"Ports": {"5000/tcp": [{"HostIp": host, "HostPort": port}], "9000/tcp": None}}
    }
    return {"Name": name, "Config": {"User": user, "Image": image}} | bindings | more


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({}, []),
        ({"host": "0.0.0.0"}, ["vaxpulse-mlflow-1 publishes 0.0.0.0:5000"]),
        ({"port": "9999"}, ["vaxpulse-mlflow-1 publishes 127.0.0.1:9999"]),
        ({"user": ""}, ["vaxpulse-mlflow-1 runs as root"]),
        ({"Env": ["X=s3cret-of-mlflow"]}, ["docker inspect vaxpulse-mlflow-1 shows MLFLOW_PASSWORD"]),
    ],
)
def test_open_ports_root_and_shown_secrets_are_found(monkeypatch, changed, wrong):
    for name in settings.port_variables():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(docker, "containers", lambda: [container(**changed)])
    monkeypatch.setattr(docker, "docker", lambda *_: "")
    monkeypatch.setattr(security, "logins", lambda *_: ())
    monkeypatch.setattr(security, "viewer", lambda *_: ())
    assert list(security.problems({"MLFLOW_PASSWORD": "s3cret-of-mlflow"})) == wrong


def test_a_secret_in_an_images_history_is_found(monkeypatch):
    monkeypatch.setattr(docker, "containers", lambda: [container()])
    monkeypatch.setattr(
        docker, "docker", lambda command, *_: "RUN echo s3cret-of-mlflow" if command == "history" else ""
    )
    monkeypatch.setattr(security, "logins", lambda *_: ())
    monkeypatch.setattr(security, "viewer", lambda *_: ())
    assert list(security.problems({"MLFLOW_PASSWORD": "s3cret-of-mlflow"})) == [
        "the history of vaxpulse-mlflow:0.1.0 shows MLFLOW_PASSWORD"
    ]
